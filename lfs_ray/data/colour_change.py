"""Brightness, contrast, saturation and grey of several images at once.

Data flow: `augment` -> here -> pixels of the batch. Each step leaves whole levels from 0 to 255,
as Pillow's ImageEnhance does, so that sums over an image are exact and the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels
from lfs_ray.data.resampling import Planes, Room, round_off, write_planes

# Shares of red, green and blue in the luma of ITU-R BT.601, in 65536ths as Pillow has them: with
# whole levels all sums stay below 2**24 and are exact in float32.
_LUMA = (np.float32(19595), np.float32(38470), np.float32(7471))
_LUMA_UNIT = np.float32(65536)


def jitter_colour(
    images_BHWC: Pixels,
    places: Sequence[int],
    factors_N3: NDArray[np.float64],
    room: Room,
    *,
    colour: str = "rgb",
) -> None:
    """Change brightness, then contrast, then saturation, each by a factor of its own, in place.

    Brightness is a factor on all levels. Contrast is one on the distance to the mean luma of the
    image, rounded; saturation one on the distance of each channel to the luma of the pixel.

    Args:
        images_BHWC: (B, S, S, 3) uint8.
        places: Which of them, up to FEW.
        factors_N3: The three factors of each, 0 or more; 1 changes nothing.
        room: Arrays to work in.
        colour: Order of the channels, "rgb" or "bgr".
    """
    planes_NHCW = room.read(images_BHWC, places)
    luma_NHW = room.luma_NHW[: len(places)]
    brightness, contrast, saturation = factors_N3.T.astype(np.float32)[..., None, None, None]
    planes_NHCW *= brightness
    _write_luma(round_off(planes_NHCW), colour, luma_NHW)
    mean_N = np.rint(luma_NHW.mean(axis=(1, 2), dtype=np.float64)).astype(np.float32)
    _stretch(planes_NHCW, mean_N[:, None, None, None], contrast)
    _write_luma(planes_NHCW, colour, luma_NHW)
    _stretch(planes_NHCW, luma_NHW[:, :, None], saturation)
    write_planes(planes_NHCW, images_BHWC, places)


def to_grey(
    images_BHWC: Pixels, places: Sequence[int], room: Room, *, colour: str = "rgb"
) -> None:
    """Replace all three channels of up to FEW images of a batch by their luma, in place."""
    luma_NHW = room.luma_NHW[: len(places)]
    _write_luma(room.read(images_BHWC, places), colour, luma_NHW)
    for luma_HW, place in zip(luma_NHW, places, strict=True):
        whole_HW = luma_HW.astype(np.uint8)
        for channel in range(3):
            images_BHWC[place, ..., channel] = whole_HW


def _write_luma(planes_NHCW: Planes, colour: str, luma_NHW: Planes) -> None:
    """Luma of planes of whole levels, rounded half up."""
    weights = _LUMA if colour == "rgb" else _LUMA[::-1]
    for planes_HCW, luma_HW in zip(planes_NHCW, luma_NHW, strict=True):
        np.multiply(planes_HCW[:, 0], weights[0], out=luma_HW)
        for channel in (1, 2):
            luma_HW += planes_HCW[:, channel] * weights[channel]
        luma_HW /= _LUMA_UNIT
        luma_HW += np.float32(0.5)
        np.floor(luma_HW, out=luma_HW)


def _stretch(planes_NHCW: Planes, around: Planes, factor: Planes) -> None:
    """Multiply the distance of each level to `around` by `factor`, in place."""
    planes_NHCW -= around
    planes_NHCW *= factor
    planes_NHCW += around
    round_off(planes_NHCW)
