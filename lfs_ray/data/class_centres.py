"""Centres of classes in the space of a model's embeddings, and what lies near them.

Data flow: unit embeddings and labels -> here -> likely mislabels (`doctor`), identities that two
sets share (`overlap`), similar identities (`label_noise`). Nothing here is larger than a block of
images times the number of classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
"""Unit embeddings may be float32, to save memory; sums are float64."""
Labels = NDArray[np.int64]
MIN_CLASSES = 5
"""So many classes tell what a cosine means to a model."""
_BLOCK_CELLS = 1 << 24
_SUMMED_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """Sums of unit embeddings by class."""

    labels: Labels
    """Label of each class, ascending, (C,)."""
    sums_CD: FloatArray
    """Sum of the unit embeddings of each class."""
    counts: Labels
    """Images of each, (C,)."""

    @property
    def unit_CD(self) -> FloatArray:
        """Direction of each class; zero for a sum of length zero."""
        return _unit(self.sums_CD)


def class_centres(unit_ND: FloatArray, labels: Labels) -> Centres:
    """Centres of the classes of N images; images of negative label are left out."""
    chosen = np.flatnonzero(labels >= 0)
    classes, place, counts = np.unique(labels[chosen], return_inverse=True, return_counts=True)
    sums_CD = np.zeros((len(classes), unit_ND.shape[1]))
    for start in range(0, len(chosen), _SUMMED_AT_ONCE):
        part = slice(start, start + _SUMMED_AT_ONCE)
        np.add.at(sums_CD, place[part], unit_ND[chosen[part]])
    return Centres(classes, sums_CD, counts)


def half_labels(labels: Labels) -> Labels:
    """Labels of half classes (N,): 2c for the first, third, ... image of class c, 2c+1 for others.

    >>> half_labels(np.array([0, 1, 1, 0, 1])).tolist()
    [0, 2, 3, 1, 2]
    """
    order = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    number = np.empty(len(labels), np.int64)
    number[order] = np.arange(len(labels)) - np.repeat(starts, sizes)
    return 2 * labels + number % 2


def joined_halves(halves: Centres) -> Centres:
    """Centres of whole classes from those of `half_labels`."""
    classes, rows = np.unique(halves.labels // 2, return_inverse=True)
    sums_CD = np.zeros((len(classes), halves.sums_CD.shape[1]))
    np.add.at(sums_CD, rows, halves.sums_CD)
    return Centres(classes, sums_CD, np.bincount(rows, halves.counts).astype(np.int64))


def same_person_cosine(halves: Centres) -> float:
    """Cosine between the two halves of a class, the median class: as near as one person is.

    It says what a cosine means to this model. Classes of fewer than four images don't count; NaN
    where fewer than `MIN_CLASSES` do.
    """
    whole = halves.labels // 2
    paired = np.flatnonzero((whole[1:] == whole[:-1]) & (np.minimum(*_neighbours(halves)) >= 2))
    if len(paired) < MIN_CLASSES:
        return float("nan")
    unit_CD = halves.unit_CD
    return float(np.median(np.einsum("cd,cd->c", unit_CD[paired], unit_CD[paired + 1])))


def _neighbours(halves: Centres) -> tuple[Labels, Labels]:
    return halves.counts[:-1], halves.counts[1:]


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """How images lie between the centre of their class and that of the nearest other."""

    own: FloatArray
    """Cosine to the centre of the other images of its class, (N,); NaN where it has none."""
    other: FloatArray
    """Cosine to the nearest centre of another class, (N,)."""
    other_label: Labels
    """Which class that is, (N,)."""


def place_images(unit_ND: FloatArray, labels: Labels, centres: Centres) -> Placement:
    """Cosines of images to the centre of their own class without them, and to the nearest other.

    Raises:
        ValueError: an image has a class without a centre.
    """
    row = np.searchsorted(centres.labels, labels)
    if not np.array_equal(centres.labels[np.minimum(row, len(centres.labels) - 1)], labels):
        raise ValueError("every image's class must have a centre")
    own = np.empty(len(labels))
    other = np.empty(len(labels))
    other_row = np.empty(len(labels), np.int64)
    for part, cos_BC in blocked_cosines(unit_ND, centres.unit_CD):
        rest_BD = _unit(centres.sums_CD[row[part]] - unit_ND[part])
        own[part] = np.einsum("nd,nd->n", rest_BD, unit_ND[part])
        cos_BC[np.arange(len(cos_BC)), row[part]] = -np.inf
        other_row[part] = cos_BC.argmax(axis=1)
        other[part] = np.take_along_axis(cos_BC, other_row[part][:, None], axis=1)[:, 0]
    own[centres.counts[row] < 2] = np.nan
    return Placement(own, other, centres.labels[other_row])


def near_centres(
    first_CD: FloatArray, second_CD: FloatArray, threshold: float, *, once: bool = False
) -> list[tuple[int, int, float]]:
    """Rows of two tables of unit centres whose cosine is at least `threshold`, nearest first.

    Args:
        first_CD, second_CD: Unit rows.
        threshold: Least cosine.
        once: The tables are one and the same: each pair once, none with itself.
    """
    found: list[tuple[int, int, float]] = []
    for part, cos_BC in blocked_cosines(first_CD, second_CD):
        rows, columns = np.nonzero(cos_BC >= threshold)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if not once or row + part.start < column:
                found.append((row + part.start, column, float(cos_BC[row, column])))
    return sorted(found, key=lambda pair: (-pair[2], pair[:2]))


def blocked_cosines(
    first_ND: FloatArray, second_CD: FloatArray
) -> Iterator[tuple[slice, FloatArray]]:
    """Products of some rows of the first with all of the second, block after block."""
    rows = max(1, _BLOCK_CELLS // max(len(second_CD), 1))
    for start in range(0, len(first_ND), rows):
        part = slice(start, min(start + rows, len(first_ND)))
        yield part, first_ND[part] @ second_CD.T


def _unit(rows_ND: FloatArray) -> FloatArray:
    norm_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return np.asarray(rows_ND / np.where(norm_N1 == 0, 1, norm_N1))
