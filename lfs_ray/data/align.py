"""Face crops by five landmarks: eyes, nose and mouth corners are brought to fixed places.

Data flow: pixels + landmarks of `landmarks` -> here -> square crop -> packing. The places are
those that the published models and test sets are cropped by (deepinsight/insightface, for 112 x
112): a model sees other numbers for a face that is cropped otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels
from lfs_ray.errors import DataError

TEMPLATE_SIZE_PX = 112
TEMPLATE_52 = np.array(
    [
        [38.2946, 51.6963],  # left eye (left in the image)
        [73.5318, 51.5014],  # right eye
        [56.0252, 71.7366],  # nose
        [41.5493, 92.3655],  # left mouth corner
        [70.7299, 92.2041],  # right mouth corner
    ]
)


def align(image_HWC: Pixels, points_52: NDArray[np.floating], size_px: int = 112) -> Pixels:
    """Turn, scale and shift a face so that its landmarks lie as in the template.

    Bilinear; what lies outside the image is black.

    Args:
        image_HWC: Pixels (H, W, 3) uint8.
        points_52: x and y of left eye, right eye, nose, left and right mouth corner in pixels of
            the image, (5, 2); pixel centres have whole numbers.
        size_px: Side of the crop; the template is scaled from 112.

    Returns:
        Crop, (size_px, size_px, 3) uint8.

    Raises:
        DataError: The landmarks are no five different finite points.
    """
    forward_23 = similarity(points_52, TEMPLATE_52 * (size_px / TEMPLATE_SIZE_PX))
    return _warp(image_HWC, _inverse(forward_23), size_px)


def similarity(from_N2: NDArray[np.floating], to_N2: NDArray[np.floating]) -> NDArray[np.float64]:
    r"""Similarity that brings points closest to others: rotation, one scale, shift, no mirror.

    Least squares (Umeyama, 1991). With points as complex numbers z and w, centred, it is
    w = a z with

        a = sum(conj(z) w) / sum(|z|^2)

    Returns:
        Matrix (2, 3): [x', y'] = M [x, y, 1].

    Raises:
        DataError: The points are not finite, or all the same.
    """
    z, w = (np.asarray(points, np.float64) @ np.array([1, 1j]) for points in (from_N2, to_N2))
    z_mean, w_mean = z.mean(), w.mean()
    spread = float(np.sum(np.abs(z - z_mean) ** 2))
    factor = np.sum(np.conj(z - z_mean) * (w - w_mean)) / spread if spread > 0 else complex(0)
    if not np.isfinite(spread) or factor == 0:
        shown = np.asarray(from_N2).round(1).tolist()
        raise DataError(f"landmarks must be five different points of a face, got {shown}")
    shift = w_mean - factor * z_mean
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def _inverse(matrix_23: NDArray[np.float64]) -> NDArray[np.float64]:
    turned = np.linalg.inv(matrix_23[:, :2])
    return np.hstack([turned, -turned @ matrix_23[:, 2:]])


def _warp(image_HWC: Pixels, inverse_23: NDArray[np.float64], size_px: int) -> Pixels:
    """Pixel (u, v) of the result is the image at inverse_23 [u, v, 1]."""
    grid = np.arange(size_px)
    (xu, xv, x0), (yu, yv, y0) = inverse_23
    x = xu * grid[None, :] + (xv * grid[:, None] + x0)
    y = yu * grid[None, :] + (yv * grid[:, None] + y0)
    framed_HWC, x, y = _framed(image_HWC, x, y)
    columns, rows = x.astype(np.intp), y.astype(np.intp)
    right = (x - columns).astype(np.float32)[..., None]
    down = (y - rows).astype(np.float32)[..., None]
    width = framed_HWC.shape[1]
    flat = framed_HWC.reshape(-1, 3)
    corner = rows * width + columns

    def at(offset: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = flat.take(corner + offset, axis=0).astype(np.float32)
        return values

    upper, lower = at(0), at(width)
    upper += (at(1) - upper) * right
    lower += (at(width + 1) - lower) * right
    upper += (lower - upper) * down
    return (upper + np.float32(0.5)).astype(np.uint8)


def _framed(
    image_HWC: Pixels, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[Pixels, NDArray[np.float64], NDArray[np.float64]]:
    """The part of the image that is looked at, with a black frame, and the places within it.

    Places outside move onto the frame, so that every place has four neighbours.
    """
    height, width = image_HWC.shape[:2]
    x, y = x.clip(-1, width), y.clip(-1, height)
    left, top = (max(0, int(np.floor(places.min()))) for places in (x, y))
    part = image_HWC[top : int(y.max()) + 2, left : int(x.max()) + 2]
    framed = np.zeros((part.shape[0] + 3, part.shape[1] + 3, 3), np.uint8)
    framed[1:-2, 1:-2] = part
    return framed, x - left + 1, y - top + 1
