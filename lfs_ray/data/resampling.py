"""Several images resampled at once, each by its own pair of matrices.

Data flow: `augment` with weights of `resampling_weights` -> here -> pixels of the batch. Along an
axis every resampling is a matrix, and two batched products resample a group of images.

Weights are whole multiples of 2**-15 and pixels whole numbers up to 255. So every partial sum of
a product is exact in float32: the result is the same bits on every machine, whatever the order of
summation or the library. After each axis pixels are rounded, as Pillow does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels

FEW = 4  # images at once: their planes stay in a core's cache
_LINES = 16  # new lines of an image that one product gives, from the old ones that they need
# OpenBLAS calculates a product of more multiplications than these on threads of its own; several
# of our threads and a busy machine then wait for each other ten times as long as it takes.
_UNTHREADED = 4 * 65536

Matrices = NDArray[np.float32]
Planes = NDArray[np.float32]


class Room:
    """Arrays for a few images of one size, filled again and again.

    Fresh memory comes from the system page by page and cleared, which takes longer than the sums.
    """

    def __init__(self, size_px: int) -> None:
        self.size_px = size_px
        shape = (FEW, size_px, 3, size_px)
        self.planes_NHCW, self.other_NHCW = np.empty((2, *shape), np.float32)
        self.luma_NHW = np.empty((FEW, size_px, size_px), np.float32)
        self.rows_NSS, self.columns_NSS = np.empty((2, FEW, size_px, size_px), np.float32)
        blocks = size_px // unthreaded_lines(size_px, _LINES)
        self.stretches = np.empty(blocks * self.planes_NHCW.size, np.float32)

    def read(
        self, images_BHWC: Pixels, places: Sequence[int], *, transposed: bool = False
    ) -> Planes:
        """Planes of images of a batch, (N, H, 3, W): each row of a channel is contiguous."""
        for image, place in enumerate(places):
            image_HWC = images_BHWC[place].swapaxes(0, 1) if transposed else images_BHWC[place]
            for channel in range(3):  # four times as fast as a transposed copy
                self.planes_NHCW[image, :, channel] = image_HWC[..., channel]
        return self.planes_NHCW[: len(places)]


def write_planes(planes_NHCW: Planes, images_BHWC: Pixels, places: Sequence[int]) -> None:
    """Write planes of whole numbers from 0 to 255 to images of a batch."""
    for planes_HCW, place in zip(planes_NHCW, places, strict=True):
        whole_HCW = planes_HCW.astype(np.uint8)
        for channel in range(3):
            images_BHWC[place, ..., channel] = whole_HCW[:, channel]


def round_off(planes: Planes) -> Planes:
    """Round to whole numbers from 0 to 255, in place."""
    np.rint(planes, out=planes)
    np.clip(planes, 0, 255, out=planes)
    return planes


def resample(images_BHWC: Pixels, places: Sequence[int], room: Room) -> None:
    """Resample up to FEW images of a batch along both axes, in place.

    Pixels are rounded, halves to even, and cut to 0 to 255 after each axis, columns first.

    Args:
        images_BHWC: (B, S, S, 3) uint8.
        places: Which of them.
        room: rows_NSS[n, new, old] are the weights of the rows of image places[n], columns_NSS
            those of its columns: multiples of 2**-15 that sum up to 1, with absolute values that
            sum up to less than 2.
    """
    few = slice(len(places))
    old_NWCH, new_NWCH = room.read(images_BHWC, places, transposed=True), room.other_NHCW[few]
    _multiply(room.columns_NSS[few], old_NWCH, room.stretches, new_NWCH)
    old_NHCW = room.planes_NHCW[few]
    old_NHCW[:] = round_off(new_NWCH).swapaxes(1, 3)
    _multiply(room.rows_NSS[few], old_NHCW, room.stretches, new_NWCH)
    write_planes(round_off(new_NWCH), images_BHWC, places)


def _multiply(
    matrices_NSS: Matrices, old_NSCX: Planes, stretches: Planes, new_NSCX: Planes
) -> None:
    """Matrix products along the second axis, without most of the zeros, written to `new_NSCX`.

    A matrix is cut into blocks of lines, and each block is multiplied with the stretch of old
    lines from its first to its last column that is not 0.
    """
    images, size, channels, width = old_NSCX.shape
    lines = unthreaded_lines(size, _LINES)
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


def unthreaded_lines(size: int, most: int) -> int:
    """Lines to multiply at once: a divisor of `size` up to `most`, small enough for one thread."""
    fitting = max(min(most, _UNTHREADED // size**2), 1)
    return next(lines for lines in range(fitting, 0, -1) if size % lines == 0)
