"""Pixels of the images of a batch, each decoded straight to its place, mirrored where asked.

Data flow: `loader` with an empty batch -> here -> the batch's pixels. A JPEG of the right size
takes the short way: from the LMDB's memory map into the batch. All else, and what is missing or
broken, goes through `image`, which knows every format and names what it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from lfs_ray.data.decode import REFUSED, Pixels, resize_image
from lfs_ray.errors import DataError

_OTHER = {"rgb": "bgr", "bgr": "rgb"}
_WORDS = (8, 4, 2, 1)


class LabelledImages(Protocol):
    """What batches are made of: a `FaceSet`, or keys of a store."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Label of each image, (N,)."""

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8; DataError when missing or undecodable."""


@runtime_checkable
class EncodedImages(Protocol):
    """Images that can also be had as they are stored."""

    def encoded(
        self, indices: NDArray[np.int64]
    ) -> AbstractContextManager[Iterable[memoryview | None]]:
        """Encoded image of each index, valid inside of the context; None: only `image` can."""


def fill(
    images_BHWC: NDArray[np.uint8],
    faces: LabelledImages,
    indices: NDArray[np.int64],
    flips: NDArray[np.bool_],
    colour: str = "rgb",
) -> dict[int, DataError]:
    """Decode image indices[i] to images_BHWC[i], mirrored left-right where flips[i].

    Args:
        images_BHWC: Contiguous, (B, size, size, 3); images of other sizes are resized.
        faces: Where the images come from.
        indices: Which ones, (B,).
        flips: Which to mirror, (B,).
        colour: "rgb" or "bgr".

    Returns:
        Why a place has no pixels, of those that have none.
    """
    failures: dict[int, DataError] = {}
    decoded = _decode_jpegs(images_BHWC, faces, indices, flips, colour)
    for place in np.flatnonzero(~decoded).tolist():
        try:
            pixels = resize_image(faces.image(int(indices[place]), colour), images_BHWC.shape[1])
        except DataError as error:
            failures[place] = error
            continue
        _put(pixels, flips[place], images_BHWC[place])
    return failures


def _decode_jpegs(
    images_BHWC: NDArray[np.uint8],
    faces: LabelledImages,
    indices: NDArray[np.int64],
    flips: NDArray[np.bool_],
    colour: str,
) -> NDArray[np.bool_]:
    """Decode the JPEGs that have the size of the batch straight into it; tells which ones.

    An image to mirror is decoded in the other colour order, then the bytes of each row are put
    in reverse order, which mirrors it and swaps red and blue. Words in reverse order, each with
    its bytes swapped, are ten times faster than pixels in reverse order; and from a small array
    back to where the image was, in the core's cache, twice as fast as from there to the batch.
    """
    decoded = np.zeros(len(indices), np.bool_)
    if not isinstance(faces, EncodedImages):
        return decoded
    spaces, shape = (colour.upper(), _OTHER[colour].upper()), images_BHWC.shape[1:]
    words, some_words, mirrored = _row_words(images_BHWC)
    with faces.encoded(indices) as blobs:
        for place, (blob, flip) in enumerate(zip(blobs, flips.tolist(), strict=True)):
            if blob is None:
                continue
            try:
                pixels = simplejpeg.decode_jpeg(blob, spaces[flip], buffer=images_BHWC[place])
            except REFUSED:
                continue
            if pixels.shape != shape:
                continue
            if flip:
                some_words[:] = words[place]
                words[place] = mirrored
            decoded[place] = True
    return decoded


def _row_words(
    images_BHWC: NDArray[np.uint8],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Images as words, an array for the words of one, and that array with all rows reversed."""
    batch, height, width, channels = images_BHWC.shape
    row_bytes = width * channels
    word = next(size for size in _WORDS if row_bytes % size == 0)
    some_words = np.empty((height, row_bytes // word), f"<u{word}")
    words = images_BHWC.reshape(batch, height, row_bytes).view(some_words.dtype)
    return words, some_words, some_words.view(f">u{word}")[:, ::-1]


def _put(pixels: Pixels, flip: bool, out_HWC: Pixels) -> None:
    if not flip and pixels.flags.c_contiguous:
        out_HWC[:] = pixels
        return
    for channel in range(3):  # numpy is slow at copying backwards in steps of three bytes
        out_HWC[..., channel] = pixels[:, :: -1 if flip else 1, channel]
