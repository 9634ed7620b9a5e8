"""Batches of decoded images, prepared on threads ahead of the consumer.

Data flow: `FaceSet` + indices and flips of `stream` -> here -> uint8 batches -> training device.
Order and content never depend on the timing of threads: each image has its place in its batch, and
batches leave in order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.augment import AugmentedStream
from lfs_ray.data.batch_memory import BatchMemory
from lfs_ray.data.batch_pixels import LabelledImages, fill
from lfs_ray.data.decode import Pixels
from lfs_ray.data.prefetch import ordered_map
from lfs_ray.errors import DataError

_BATCHES_AHEAD = 2
_DECODED_AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Images on their way to the training device."""

    images_BHWC: NDArray[np.uint8]
    """Pixels in 0 to 255."""
    labels_B: NDArray[np.int64]
    """Label of each image."""
    skipped: int
    """Undecodable images left out since the batch before."""
    wait_s: float
    """Time the consumer waited for this batch."""


def batches(
    faces: LabelledImages,
    indices: NDArray[np.int64],
    flips: NDArray[np.bool_],
    *,
    batch_size: int,
    size_px: int,
    colour: str = "rgb",
    threads: int = 1,
    max_bad_images: int = 0,
    augment: AugmentedStream | None = None,
) -> Iterator[Batch]:
    """Decode images in the order of `indices`; the last batch may be short.

    An undecodable image is left out of its batch, which becomes shorter; a batch left with none is
    not handed out. Threads end with the iterator, also when it is closed early.

    Args:
        faces: Where images and labels come from.
        indices: Images to load, (count,).
        flips: Which of them to mirror left-right, (count,).
        batch_size: Images a batch.
        size_px: Images of another size are resized to this square.
        colour: "rgb" or "bgr".
        threads: Number of decoding threads.
        max_bad_images: Up to so many different images may be undecodable.
        augment: Further changes; its offset 0 is the first of `indices`.

    Raises:
        DataError: One more image is undecodable; names its key.
        ValueError: Sizes or numbers that make no sense.
    """
    _check_settings(batch_size, size_px, threads, len(flips), len(indices))
    memory = BatchMemory((batch_size, size_px, size_px, 3))

    def load(start: int) -> _Decoded:
        part = slice(start, start + batch_size)
        images_BHWC = memory.array()[: len(indices[part])]
        decoded = _decode(images_BHWC, faces, indices[part], flips[part], colour)
        if augment is not None:
            augment.change(decoded.images_BHWC, start + decoded.places)
        return decoded

    bad: set[int] = set()
    skipped = 0
    starts = range(0, len(indices), batch_size)
    ahead = threads + _BATCHES_AHEAD
    with closing(ordered_map(load, starts, threads=threads, ahead=ahead)) as ready:
        began = time.perf_counter()
        for decoded in ready:
            wait_s = time.perf_counter() - began
            _count_bad(bad, decoded.failures, max_bad_images)
            skipped += len(decoded.failures)
            if len(decoded.indices):
                labels_B = faces.labels[decoded.indices]
                yield Batch(decoded.images_BHWC, labels_B, skipped, wait_s)
                skipped = 0
            began = time.perf_counter()


def decode_all(
    faces: LabelledImages,
    indices: NDArray[np.int64],
    *,
    size_px: int,
    colour: str = "rgb",
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Pixels of the images at `indices`, (count, size_px, size_px, 3), for the images of pairs.

    Raises:
        DataError: An image is missing or undecodable; names its key.
    """
    flips = np.zeros(len(indices), np.bool_)

    def load(start: int) -> NDArray[np.uint8]:
        part = slice(start, start + _DECODED_AT_ONCE)
        images_BHWC = np.empty((len(indices[part]), size_px, size_px, 3), np.uint8)
        decoded = _decode(images_BHWC, faces, indices[part], flips[part], colour)
        if decoded.failures:
            raise decoded.failures[0][1]
        return decoded.images_BHWC

    starts = range(0, len(indices), _DECODED_AT_ONCE)
    ahead = threads + _BATCHES_AHEAD
    with closing(ordered_map(load, starts, threads=threads, ahead=ahead)) as parts:
        return np.concatenate([np.empty((0, size_px, size_px, 3), np.uint8), *parts])


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """Pixels of the images that have some, and why the others have none."""

    indices: NDArray[np.int64]
    places: NDArray[np.int64]
    """Place of each in the batch asked for."""
    images_BHWC: NDArray[np.uint8]
    failures: list[tuple[int, DataError]]


def _decode(
    images_BHWC: Pixels,
    faces: LabelledImages,
    indices: NDArray[np.int64],
    flips: NDArray[np.bool_],
    colour: str,
) -> _Decoded:
    """Decode the images of one batch, on one thread, into the array given."""
    bad = fill(images_BHWC, faces, indices, flips, colour)
    failures = [(int(indices[place]), error) for place, error in bad.items()]
    places = np.delete(np.arange(len(indices)), list(bad))
    if bad:
        indices, images_BHWC = indices[places], images_BHWC[places]
    return _Decoded(indices, places, images_BHWC, failures)


def _check_settings(
    batch_size: int, size_px: int, threads: int, num_flips: int, num_indices: int
) -> None:
    if min(batch_size, size_px, threads) < 1 or num_indices != num_flips:
        raise ValueError(
            f"batch_size, size_px, threads >= 1 and as many flips as indices, got "
            f"{batch_size}, {size_px}, {threads}, {num_flips} and {num_indices}"
        )


def _count_bad(bad: set[int], failures: list[tuple[int, DataError]], max_bad_images: int) -> None:
    for index, error in failures:
        bad.add(index)
        if len(bad) > max_bad_images:
            raise DataError(
                f"{error}; at most {max_bad_images} undecodable images are skipped, "
                f"this is number {len(bad)}: repair or remove it, or raise the limit"
            )
