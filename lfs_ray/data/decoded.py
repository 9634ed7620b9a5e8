"""Labelled images that are decoded once and kept: for sets that fit into a worker's memory.

Data flow: `FaceSet` -> here -> `loader.batches`. An image is decoded, and brought to its size,
when it is first asked for; a second epoch reads memory. Bytes: N x size x size x 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.decode import Pixels, resize_image


class DecodedImages:
    """The images of a set at one size, each decoded when first read.

    Two threads that ask for one image at once both decode it, to the same pixels.

    Args:
        images: where they come from.
        size_px: side of the square that all are brought to.
    """

    def __init__(self, images: LabelledImages, *, size_px: int) -> None:
        self._images = images
        self._size_px = size_px
        count = len(images.labels)
        # Untouched pages of an empty array take no memory.
        self._pixels_NHWC = np.empty((count, size_px, size_px, 3), np.uint8)
        self._there_N = np.zeros(count, np.bool_)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Label of each image, (N,)."""
        return self._images.labels

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        """Pixels (size, size, 3) uint8 of image `index`.

        Raises:
            DataError: the image is missing or undecodable.
        """
        if not self._there_N[index]:
            self._pixels_NHWC[index] = resize_image(self._images.image(index), self._size_px)
            self._there_N[index] = True
        pixels = self._pixels_NHWC[index]
        reversed_pixels: Pixels = pixels[..., ::-1]
        return pixels if colour == "rgb" else reversed_pixels
