"""Labels and classes: whole numbers from 0 without gaps, and how many images each class has.

Data flow: `Specimen` -> here -> findings, and the histogram of the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.doctor.specimen import NO_LABEL, Specimen
from lfs_ray.data.listing import Keys

LONG_TAIL_SHARE = 0.1
"""A tail is long when so small a share of the classes, or a smaller one, holds half of all images:
50 % where all classes are equal, 21 % in 9,056 images of LFW, 16 % in a mixture of three sources
with 8 to 100 images a person."""
LONG_TAIL_CLASSES = 20
"""Fewer classes have no tail to speak of."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassCounts:
    """Images per class."""

    labels: NDArray[np.int64]
    """Labels that an image has, ascending, (C,)."""
    counts: NDArray[np.int64]
    """Images of each, (C,)."""


def class_counts(specimen: Specimen) -> ClassCounts:
    """How many images each class has."""
    labels = specimen.labels
    return ClassCounts(*np.unique(labels[labels != NO_LABEL], return_counts=True))


def check_labels(specimen: Specimen, classes: ClassCounts) -> list[Finding]:
    """Labels that are none, gaps, empty and single-image classes, a long tail, repeats."""
    written = specimen.written_labels
    if np.isnan(written).all():
        return []
    with np.errstate(invalid="ignore"):
        is_fractional = (written != np.floor(written)) & ~np.isnan(written)
        fractional = np.flatnonzero(is_fractional)
        negative = np.flatnonzero(written < 0)
        unusable = np.flatnonzero((specimen.labels == NO_LABEL) & ~is_fractional & ~(written < 0))

    def label_of(place: int) -> str:
        return f"{specimen.keys[place]}: {written[place]:g}"

    return [
        *found("fractional-labels", len(fractional), named(fractional, label_of)),
        *found("negative-labels", len(negative), named(negative, label_of)),
        *found("unusable-labels", len(unusable), named(unusable, label_of)),
        *_gaps(specimen, classes),
        *_singles(specimen, classes),
        *_long_tail(specimen, classes),
        *check_keys(specimen.keys),
    ]


def _gaps(specimen: Specimen, classes: ClassCounts) -> list[Finding]:
    if not len(classes.labels):
        return []
    num_missing = int(classes.labels[-1]) + 1 - len(classes.labels)
    gaps = found("label-gaps", num_missing, map(str, _missing(classes.labels)))
    above = range(int(classes.labels[-1]) + 1, len(specimen.class_names))
    return gaps + found("empty-classes", len(above), named(above, specimen.class_name))


def _missing(labels: NDArray[np.int64]) -> Iterator[int]:
    """Numbers from 0 that are not among `labels`, which ascend; as many as are asked for."""
    expected = 0
    for label in labels.tolist():
        yield from range(expected, label)
        expected = label + 1


def _singles(specimen: Specimen, classes: ClassCounts) -> list[Finding]:
    single = classes.labels[classes.counts == 1]
    return found("single-image-classes", len(single), named(single, specimen.class_name))


def _long_tail(specimen: Specimen, classes: ClassCounts) -> list[Finding]:
    order = np.argsort(-classes.counts, kind="stable")
    held = np.cumsum(classes.counts[order])
    if len(held) < LONG_TAIL_CLASSES:
        return []
    heads = int(np.searchsorted(held, held[-1] / 2)) + 1
    if heads > LONG_TAIL_SHARE * len(held):
        return []
    largest = order[:heads]
    return found(
        "long-tail",
        heads,
        (f"{specimen.class_name(int(classes.labels[p]))}: {classes.counts[p]}" for p in largest),
        f"half of {held[-1]} images belong to {heads} of {len(held)} classes",
    )


def check_keys(keys: Keys) -> list[Finding]:
    """Keys that are there more than once; eight bytes a key, and those of equal hash."""
    hashes = np.fromiter(map(hash, map(keys.encoded, range(len(keys)))), np.int64, len(keys))
    order = np.argsort(hashes, kind="stable")
    equal = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]]) + 1
    seen: set[bytes] = set()
    repeated: list[bytes] = []
    for place in np.unique(np.concatenate([order[equal], order[equal - 1]])).tolist():
        key = keys.encoded(place)
        if key in seen:
            repeated.append(key)
        seen.add(key)
    return found("duplicate-keys", len(repeated), (key.decode() for key in repeated))
