"""Pairs for verification: both kinds in every one of ten folds, and every image there.

Data flow: pair list, or flags of a `.bin` set -> here -> findings.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.folds import FOLDS, consecutive_folds
from lfs_ray.data.pair_lists import parse_pairs
from lfs_ray.data.pair_rows import PairRow
from lfs_ray.data.pairs import person_of
from lfs_ray.data.store import ImageStore
from lfs_ray.errors import DataError


def check_pair_list(path: str | os.PathLike[str], store: ImageStore) -> list[Finding]:
    """Read a pair list and check it against the images of a store."""
    place = os.fspath(path)
    try:
        rows = parse_pairs(path)
    except DataError as error:
        return found("unreadable-pairs", 1, [str(error)])
    if not rows:
        return found("one-class", 1, [f"{place} holds no pair"])
    keys = list(dict.fromkeys(key for row in rows for key in (row.a, row.b)))
    missing = store.missing(iter(keys))
    wrong = [f"{row.place}: {row.a}, {row.b}" for row in rows if _contradicts(row)]
    same = np.array([row.same for row in rows], np.bool_)
    fold = np.array([row.fold for row in rows], np.int64)
    return [
        *found("missing-images", len(missing), missing, f"named by {place}"),
        *found("wrong-pairs", len(wrong), wrong, place),
        *check_kinds(same, fold, place),
    ]


def _contradicts(row: PairRow) -> bool:
    """Whether a pair is one image, or says another than the folders, which name the people."""
    one, other = person_of(row.a), person_of(row.b)
    return row.a == row.b or bool(one and other and row.same != (one == other))


def check_flags(same: NDArray[np.bool_], place: str) -> list[Finding]:
    """Check pairs that are dealt to ten folds in their order, as those of `.bin` sets."""
    if not len(same):
        return found("one-class", 1, [f"{place} holds no pair"])
    return check_kinds(same, consecutive_folds(len(same)), place)


def check_kinds(same: NDArray[np.bool_], fold: NDArray[np.int64], place: str) -> list[Finding]:
    """One kind only; folds of one kind only; fewer than ten folds; folds of different size."""
    if same.all() or not same.any():
        only = "same" if same.all() else "different"
        return found("one-class", len(same), [f"all {len(same)} pairs of {place} are {only}"])
    folds, sizes = np.unique(fold, return_counts=True)
    num_same = np.array([int(same[fold == number].sum()) for number in folds])
    pure = np.flatnonzero((num_same == 0) | (num_same == sizes))

    def described(row: int) -> str:
        return f"fold {folds[row]}: {num_same[row]} same, {sizes[row] - num_same[row]} different"

    few = FOLDS - len(folds) if len(folds) < FOLDS else 0
    return [
        *found("order-not-in-folds", len(pure), named(pure, described), place),
        *found("few-folds", len(folds) if few else 0, [f"{place} has {len(folds)} folds"]),
        *found(
            "uneven-folds",
            len(folds) if int(sizes.max() - sizes.min()) > 1 else 0,
            named(range(len(folds)), described),
            place,
        ),
    ]
