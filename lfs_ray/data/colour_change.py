"""Brightness, contrast, saturation and grey of many images at once.

Data flow: `augment` -> here -> pixels of the batch. Each step leaves whole levels from 0 to 255,
as Pillow's ImageEnhance does, so that sums over an image are exact and the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels
from lfs_ray.data.resampling import Planes, from_planes, round_off, to_planes

# Shares of red, green and blue in the luma of ITU-R BT.601, in 65536ths as Pillow has them: with
# whole levels all sums stay below 2**24 and are exact in float32.
_LUMA = (np.float32(19595), np.float32(38470), np.float32(7471))
_LUMA_UNIT = np.float32(65536)
_AT_ONCE = 4


def jitter_colour(
    images_NHWC: Pixels, factors_N3: NDArray[np.float64], *, colour: str = "rgb"
) -> Pixels:
    """Change brightness, then contrast, then saturation, each by a factor of its own.

    Brightness is a factor on all levels. Contrast is one on the distance to the mean luma of the
    image, rounded; saturation one on the distance of each channel to the luma of the pixel.

    Args:
        images_NHWC: (N, H, W, 3) uint8.
        factors_N3: The three factors of each image, 0 or more; 1 changes nothing.
        colour: Order of the channels, "rgb" or "bgr".

    Returns:
        (N, H, W, 3) uint8.
    """
    out_NHWC = np.empty_like(images_NHWC)
    for part, planes_NHCW, luma_NH1W in _few_at_a_time(images_NHWC):
        brightness, contrast, saturation = _broadcast(factors_N3[part])
        planes_NHCW *= brightness
        round_off(planes_NHCW)
        write_luma(planes_NHCW, colour, luma_NH1W)
        mean = np.rint(luma_NH1W.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64))
        _stretch(planes_NHCW, mean.astype(np.float32), contrast)
        write_luma(planes_NHCW, colour, luma_NH1W)
        _stretch(planes_NHCW, luma_NH1W, saturation)
        from_planes(planes_NHCW, out_NHWC[part])
    return out_NHWC


def to_grey(images_NHWC: Pixels, *, colour: str = "rgb") -> Pixels:
    """Replace all three channels of (N, H, W, 3) uint8 by the luma."""
    out_NHWC = np.empty_like(images_NHWC)
    for part, planes_NHCW, luma_NH1W in _few_at_a_time(images_NHWC):
        write_luma(planes_NHCW, colour, luma_NH1W)
        from_planes(np.broadcast_to(luma_NH1W, planes_NHCW.shape), out_NHWC[part])
    return out_NHWC


def _few_at_a_time(images_NHWC: Pixels) -> Iterator[tuple[slice, Planes, Planes]]:
    """Planes of a few images, and room for their luma, in memory that is used again."""
    _, height, width, _ = images_NHWC.shape
    planes_NHCW = np.empty((_AT_ONCE, height, 3, width), np.float32)
    luma_NH1W = np.empty((_AT_ONCE, height, 1, width), np.float32)
    for start in range(0, len(images_NHWC), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        few = slice(len(images_NHWC[part]))
        to_planes(images_NHWC[part], planes_NHCW[few])
        yield part, planes_NHCW[few], luma_NH1W[few]


def _broadcast(factors_N3: NDArray[np.float64]) -> Planes:
    return factors_N3.T.astype(np.float32)[..., None, None, None]


def write_luma(planes_NHCW: Planes, colour: str, luma_NH1W: Planes) -> None:
    """Luma of planes of whole levels, rounded half up."""
    weights = _LUMA if colour == "rgb" else _LUMA[::-1]
    np.multiply(planes_NHCW[:, :, :1], weights[0], out=luma_NH1W)
    for channel in (1, 2):
        luma_NH1W += planes_NHCW[:, :, channel : channel + 1] * weights[channel]
    luma_NH1W /= _LUMA_UNIT
    luma_NH1W += np.float32(0.5)
    np.floor(luma_NH1W, out=luma_NH1W)


def _stretch(planes_NHCW: Planes, around: Planes, factor: Planes) -> None:
    """Multiply the distance of each level to `around` by `factor`, in place."""
    planes_NHCW -= around
    planes_NHCW *= factor
    planes_NHCW += around
    round_off(planes_NHCW)
