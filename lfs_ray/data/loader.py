"""Batches of decoded images, prepared on threads or in processes ahead of the consumer.

Data flow: `FaceSet` + indices and flips of `stream` -> here -> uint8 batches -> training device.
Order and content never depend on timing, nor on where is decoded: each image has its place in its
batch, and batches leave in order.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.augment import AugmentedStream
from lfs_ray.data.batch_decoding import decode_batch
from lfs_ray.data.batch_memory import BatchMemory
from lfs_ray.data.batch_pixels import LabelledImages, fill
from lfs_ray.data.decoders import DecodedBatch, Decoders
from lfs_ray.data.prefetch import ordered_map
from lfs_ray.errors import DataError

_BATCHES_AHEAD = 2
_DECODED_AT_ONCE = 64


class _Decode(Protocol):
    """A way to decode a stretch of the stream, batch by batch."""

    def __call__(
        self,
        indices: NDArray[np.int64],
        flips: NDArray[np.bool_],
        /,
        *,
        batch_size: int,
        size_px: int,
        colour: str,
        augment: AugmentedStream | None,
    ) -> Generator[DecodedBatch, None, None]: ...


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
    decoders: Decoders | None = None,
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
        decoders: Processes, made for these `faces`, that decode instead of threads.

    Raises:
        DataError: One more image is undecodable; names its key. Or a process of `decoders` ended.
        ValueError: Sizes or numbers that make no sense.
    """
    _check_settings(batch_size, size_px, threads, len(flips), len(indices))
    decode: _Decode = partial(_decode_on_threads, faces, threads=threads)
    if decoders is not None:
        decode = decoders.decode
    bad: set[int] = set()
    skipped = 0
    coming = decode(
        indices, flips, batch_size=batch_size, size_px=size_px, colour=colour, augment=augment
    )
    with closing(coming) as ready:
        began = time.perf_counter()
        for decoded in ready:
            wait_s = time.perf_counter() - began
            asked = indices[decoded.start : decoded.start + batch_size]
            _count_bad(bad, asked, decoded.bad, max_bad_images)
            skipped += len(decoded.bad)
            if len(decoded.images_BHWC):
                labels_B = faces.labels[np.delete(asked, list(decoded.bad))]
                yield Batch(decoded.images_BHWC, labels_B, skipped, wait_s)
                skipped = 0
            began = time.perf_counter()


def _decode_on_threads(
    faces: LabelledImages,
    indices: NDArray[np.int64],
    flips: NDArray[np.bool_],
    *,
    batch_size: int,
    size_px: int,
    colour: str,
    augment: AugmentedStream | None,
    threads: int,
) -> Generator[DecodedBatch, None, None]:
    memory = BatchMemory((batch_size, size_px, size_px, 3))

    def load(start: int) -> DecodedBatch:
        part = slice(start, start + batch_size)
        images_BHWC = memory.array()[: len(indices[part])]
        bad = decode_batch(
            images_BHWC,
            faces,
            indices[part],
            flips[part],
            start=start,
            colour=colour,
            augment=augment,
        )
        return DecodedBatch(images_BHWC[: len(images_BHWC) - len(bad)], start, bad)

    starts = range(0, len(indices), batch_size)
    return ordered_map(load, starts, threads=threads, ahead=threads + _BATCHES_AHEAD)


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
        for error in fill(images_BHWC, faces, indices[part], flips[part], colour).values():
            raise error
        return images_BHWC

    starts = range(0, len(indices), _DECODED_AT_ONCE)
    ahead = threads + _BATCHES_AHEAD
    with closing(ordered_map(load, starts, threads=threads, ahead=ahead)) as parts:
        return np.concatenate([np.empty((0, size_px, size_px, 3), np.uint8), *parts])


def _check_settings(
    batch_size: int, size_px: int, threads: int, num_flips: int, num_indices: int
) -> None:
    if min(batch_size, size_px, threads) < 1 or num_indices != num_flips:
        raise ValueError(
            f"batch_size, size_px, threads >= 1 and as many flips as indices, got "
            f"{batch_size}, {size_px}, {threads}, {num_flips} and {num_indices}"
        )


def _count_bad(
    bad: set[int],
    asked: NDArray[np.int64],
    failures: dict[int, DataError],
    max_bad_images: int,
) -> None:
    for place, error in failures.items():
        bad.add(int(asked[place]))
        if len(bad) > max_bad_images:
            raise DataError(
                f"{error}; at most {max_bad_images} undecodable images are skipped, "
                f"this is number {len(bad)}: repair or remove it, or raise the limit"
            )
