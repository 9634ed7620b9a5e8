"""The list of a training set without some identities, with labels renumbered.

Data flow: `Specimen` + labels to remove -> here -> three files:

    DST             `key label` lines, labels 0 to C-1: `data.lists` beside the same LMDB
    DST.labels.tsv  label, its label before, name: one class a line
    DST.removed.tsv label before, name, and why: one removed class and reason a line
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.specimen import NO_LABEL, Specimen
from lfs_ray.data.listing import Keys
from lfs_ray.data.whole_file import write_whole
from lfs_ray.errors import DataError

LABELS_SUFFIX = ".labels.tsv"
REMOVED_SUFFIX = ".removed.tsv"


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """What stays of a set."""

    rows: NDArray[np.int64]
    """Place of each image that stays, ascending, (N,)."""
    labels: NDArray[np.int64]
    """New label of each, 0 to C-1, (N,)."""
    old_labels: NDArray[np.int64]
    """Old label of each new one, (C,)."""
    num_before: int
    """Classes before."""


def clean(train: Specimen, removed: Mapping[int, object] | set[int]) -> Cleaned:
    """Remove identities; the others are renumbered in the order of their labels.

    Images that are not there, and those without a usable label, are left out, too.

    Raises:
        DataError: No identity stays.
    """
    labels = train.labels
    usable = train.is_there & (labels != NO_LABEL)
    kept = usable & ~np.isin(labels, np.array(sorted(removed), np.int64))
    if not kept.any():
        raise DataError(
            f"some identities of {train.path} must stay, all {len(train.identities())} would be "
            "removed: raise the threshold, or look at the lists"
        )
    rows = np.flatnonzero(kept)
    old_labels, new = np.unique(labels[rows], return_inverse=True)
    return Cleaned(rows, new.astype(np.int64), old_labels, len(np.unique(labels[usable])))


def list_lines(keys: Keys, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> Iterator[str]:
    """`key label` lines."""
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        yield f"{keys[row]} {label}\n"


def write_cleaned(
    train: Specimen,
    cleaned: Cleaned,
    reasons: Mapping[int, Sequence[str]],
    dst: str | os.PathLike[str],
) -> None:
    """Write the list and the two tables beside it; the list comes last.

    Args:
        train: The set.
        cleaned: What stays of it.
        reasons: Why each label was removed.
        dst: The list.

    Raises:
        DataError: A file cannot be written, or `dst` is the set's own list.
    """
    target = os.fspath(dst)
    refuse_own_list(train, target)
    named = [
        f"{new}\t{old}\t{train.class_name(old)}\n"
        for new, old in enumerate(cleaned.old_labels.tolist())
    ]
    removed = [
        f"{label}\t{train.class_name(label)}\t{reason}\n"
        for label in sorted(reasons)
        for reason in reasons[label]
    ]
    write_whole(target + LABELS_SUFFIX, ["label\told_label\tname\n", *named])
    write_whole(target + REMOVED_SUFFIX, ["old_label\tname\treason\n", *removed])
    write_whole(target, list_lines(train.keys, cleaned.rows, cleaned.labels))


def refuse_own_list(specimen: Specimen, dst: str) -> None:
    """Raise DataError when `dst` is the list that a set was read by, or the set itself."""
    own = [os.path.realpath(path) for path in (specimen.list_file, specimen.path) if path]
    if os.path.realpath(dst) in own:
        raise DataError(f"the list must be written to a new file, {dst} is what it is made from")
