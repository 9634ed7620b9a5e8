"""One batch decoded, on one thread: what the loader's threads and its processes both do.

Data flow: indices and flips of `loader` -> here, by `batch_pixels` and `augment` -> its pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.augment import AugmentedStream
from lfs_ray.data.batch_pixels import LabelledImages, fill
from lfs_ray.data.decode import Pixels
from lfs_ray.errors import DataError


def decode_batch(
    images_BHWC: Pixels,
    faces: LabelledImages,
    indices: NDArray[np.int64],
    flips: NDArray[np.bool_],
    *,
    start: int = 0,
    colour: str = "rgb",
    augment: AugmentedStream | None = None,
) -> dict[int, DataError]:
    """Decode a batch into the array given; images without pixels are left out, the others move up.

    Args:
        images_BHWC: Contiguous, (B, size, size, 3).
        faces: Where the images come from.
        indices: Which ones, (B,).
        flips: Which to mirror, (B,).
        start: Offset of the first of them in the augmented stretch.
        colour: "rgb" or "bgr".
        augment: Further changes.

    Returns:
        Why a place of the batch asked for has no pixels, of those that have none. The first
        B - len(it) images of the array are the batch.
    """
    bad = fill(images_BHWC, faces, indices, flips, colour)
    places = np.delete(np.arange(len(indices)), list(bad))
    images_BHWC = images_BHWC[: len(places)] if not bad else _moved_up(images_BHWC, places)
    if augment is not None:
        augment.change(images_BHWC, start + places)
    return bad


def _moved_up(images_BHWC: Pixels, places: NDArray[np.int64]) -> Pixels:
    """The images at some places (ascending), moved to the front."""
    for new, old in enumerate(places.tolist()):
        images_BHWC[new] = images_BHWC[old]
    return images_BHWC[: len(places)]
