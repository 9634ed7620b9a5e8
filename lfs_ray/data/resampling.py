"""Many images resampled at once, each by its own pair of matrices: crop and low resolution.

Data flow: `augment` -> here -> pixels of the batch. Along an axis every resampling is a matrix;
two batched products do a group of images, where a loop over images would resize one after another.

Weights are whole multiples of 2**-15 and pixels whole numbers up to 255. So every partial sum of
a product is exact in float32: the result is the same bits on every machine, whatever the order of
summation or the library. After each axis pixels are rounded, as Pillow does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels

_UNIT = 2.0**15
_KEPT = 1024
_AT_ONCE = 4  # their planes stay in a core's cache
_LINES = 16  # new lines of an image that one product gives, from the old ones that they need
# OpenBLAS calculates a product of more multiplications than these on threads of its own; several
# of our threads and a busy machine then wait for each other ten times as long as it takes.
_UNTHREADED = 4 * 65536

Matrices = NDArray[np.float32]
Planes = NDArray[np.float32]
_Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def resample(images_NHWC: Pixels, rows_NSS: Matrices, columns_NSS: Matrices) -> Pixels:
    """Resample square images along both axes.

    Args:
        images_NHWC: (N, S, S, 3) uint8.
        rows_NSS: Weights of the rows of image n, rows_NSS[n, new, old]; multiples of 2**-15 that
            sum up to 1, with absolute values that sum up to less than 2.
        columns_NSS: The same of the columns.

    Returns:
        (N, S, S, 3) uint8, rounded to even and cut to 0 to 255 after each axis.
    """
    out_NHWC = np.empty_like(images_NHWC)
    size = images_NHWC.shape[1]
    # Filled again for every few images: fresh memory takes longer than the sums.
    old, new = np.empty((2, _AT_ONCE, size, 3, size), np.float32)
    stretches = np.empty(_AT_ONCE * size // _divisor(size, _LINES) * size * 3 * size, np.float32)
    for start in range(0, len(images_NHWC), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        few = slice(len(images_NHWC[part]))
        to_planes(images_NHWC[part].swapaxes(1, 2), old[few])
        _multiply(columns_NSS[part], old[few], stretches, new[few])
        old[few] = round_off(new[few]).swapaxes(1, 3)
        _multiply(rows_NSS[part], old[few], stretches, new[few])
        from_planes(round_off(new[few]), out_NHWC[part])
    return out_NHWC


def _multiply(
    matrices_NSS: Matrices, old_NSCX: Planes, stretches: Planes, new_NSCX: Planes
) -> None:
    """Matrix products along the second axis, without most of the zeros, written to `new_NSCX`.

    A matrix is cut into blocks of lines, and each block is multiplied with the stretch of old
    lines from its first to its last column that is not 0.
    """
    images, size, channels, width = old_NSCX.shape
    lines = _divisor(size, _LINES)
    blocks_NBLS = matrices_NSS.reshape(images, -1, lines, size)
    used_NBS = (blocks_NBLS != 0).any(axis=2)
    first_NB = used_NBS.argmax(axis=2)
    after_NB = size - used_NBS[..., ::-1].argmax(axis=2)
    stretch = int((after_NB - first_NB).max())
    taken_NBT = np.minimum(first_NB, size - stretch)[..., None] + np.arange(stretch)
    weights_NBLT = np.take_along_axis(blocks_NBLS, taken_NBT[:, :, None], axis=3)
    taken_NBT += np.arange(images)[:, None, None] * size
    stretches_NBTX = stretches[: taken_NBT.size * channels * width].reshape(
        *taken_NBT.shape, channels * width
    )
    old = old_NSCX.reshape(images * size, channels * width)
    old.take(taken_NBT, axis=0, out=stretches_NBTX, mode="clip")  # other modes copy once more
    np.matmul(
        weights_NBLT[:, :, None],
        stretches_NBTX.reshape(*taken_NBT.shape, channels, width).swapaxes(2, 3),
        out=new_NSCX.reshape(images, -1, lines, channels, width).swapaxes(2, 3),
    )


def _divisor(size: int, most: int) -> int:
    """Largest divisor of `size` up to `most`, smaller where a product would be threaded."""
    fitting = max(min(most, _UNTHREADED // size**2), 1)
    return next(lines for lines in range(fitting, 0, -1) if size % lines == 0)


def to_planes(images_NHWC: Pixels, planes_NHCW: Planes) -> None:
    """Write pixels as float32, each row of a channel contiguous."""
    for channel in range(3):  # four times as fast as a transposed copy
        planes_NHCW[:, :, channel] = images_NHWC[..., channel]


def from_planes(planes_NHCW: Planes, images_NHWC: Pixels) -> None:
    """Write planes of whole numbers from 0 to 255 as pixels."""
    for planes_HCW, image_HWC in zip(planes_NHCW.astype(np.uint8), images_NHWC, strict=True):
        for channel in range(3):
            image_HWC[..., channel] = planes_HCW[:, channel]


def round_off(planes: Planes) -> Planes:
    """Round to whole numbers from 0 to 255, in place."""
    np.rint(planes, out=planes)
    np.clip(planes, 0, 255, out=planes)
    return planes


def crop_matrices(first_N: NDArray[np.int64], length_N: NDArray[np.int64], size: int) -> Matrices:
    """Weights (N, size, size) that stretch pixels first to first+length-1 to `size` pixels.

    Linear between the centres of the two nearest pixels of the stretch, none from outside of it.
    """
    centres_NS = (np.arange(size) + 0.5) * (length_N[:, None] / size) - 0.5
    centres_NS = np.clip(centres_NS, 0, length_N[:, None] - 1)
    left_NS = centres_NS.astype(np.int64)
    share_NS = np.rint((centres_NS - left_NS) * _UNIT) / _UNIT
    right_NS = np.minimum(left_NS + 1, length_N[:, None] - 1)
    matrices = np.zeros((len(first_N), size, size), np.float32)
    image, new = np.ogrid[: len(first_N), :size]
    matrices[image, new, first_N[:, None] + left_NS] = 1 - share_NS
    matrices[image, new, first_N[:, None] + right_NS] += share_NS
    return matrices


def low_resolution_matrix(size: int, low: int, down: str, up: str) -> NDArray[np.float32]:
    """Weights (size, size) that bring `size` pixels down to `low` and up again.

    Args:
        size: Pixels along the axis.
        low: Pixels to go through, 1 to `size`.
        down: Filter on the way down, a name of FILTERS.
        up: Filter on the way up.
    """
    # Of multiples of 2**-15 the products and their sums are exact in float64, too.
    enlarging = _filter_matrix(low, size, up).astype(np.float64)
    lines = enlarging.reshape(-1, _divisor(size, size), low)
    return _in_units((lines @ _filter_matrix(size, low, down)).reshape(size, size))


@lru_cache(maxsize=_KEPT)
def _filter_matrix(old: int, new: int, name: str) -> NDArray[np.float32]:
    """Weights (new, old) of Pillow's filters, whose support grows with a reduction."""
    if name == "nearest":
        nearest = (2 * np.arange(new) + 1) * old // (2 * new)
        return np.asarray(np.arange(old) == nearest[:, None], np.float32)
    centres_S1 = ((np.arange(new) + 0.5) * (old / new))[:, None]
    weights: NDArray[np.float64] = FILTERS[name](
        (np.arange(old) + 0.5 - centres_S1) / max(old / new, 1.0)
    )
    return _in_units(weights / weights.sum(axis=1, keepdims=True))


def _in_units(weights_SS: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round weights to multiples of 2**-15; what a row lacks to 1 goes to its largest one."""
    units = np.rint(weights_SS * _UNIT)
    units[np.arange(len(units)), units.argmax(axis=1)] += _UNIT - units.sum(axis=1)
    return np.asarray(units / _UNIT, np.float32)


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(1 - np.abs(x), 0.0))


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """R. Keys, Cubic convolution interpolation, 1981, with a = -1/2."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0.0)))


FILTERS: dict[str, _Kernel] = {
    "nearest": _box,
    "box": _box,
    "bilinear": _triangle,
    "bicubic": _cubic,
}
