"""Pairs of images for verification: what to compare, in which fold, and whether it is one person.

Data flow: a pair list, or labels of held-out identities -> here -> `Pairs` -> embeddings of its
keys -> verification and its bootstrap over identities.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.pair_lists import PairRow, parse_pairs
from lfs_ray.data.pair_sampling import sample_pairs
from lfs_ray.data.store import ImageStore
from lfs_ray.errors import DataError

_SHOWN_NAMES = 10


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pairs:
    """P pairs of K different images."""

    keys: tuple[str, ...]
    """Keys of the images, (K,); of made pairs the dataset index as text."""
    first: NDArray[np.int64]
    """Place of each pair's first image in `keys`, (P,)."""
    second: NDArray[np.int64]
    """Place of each pair's second image in `keys`, (P,)."""
    same: NDArray[np.bool_]
    """Whether both show one person, (P,)."""
    fold: NDArray[np.int64]
    """Fold of each pair, (P,)."""
    identity: NDArray[np.int64]
    """Person on each image, (K,): equal numbers, one person."""

    def __len__(self) -> int:
        return len(self.same)

    def people(self) -> frozenset[str]:
        """Names of the people: the folders of the images; those without a folder have none."""
        return frozenset(filter(None, map(person_of, self.keys)))


def read_pairs(path: str | os.PathLike[str]) -> Pairs:
    """Read a pair list: table with header, LFW pairs.txt, or LFW development list.

    The person on an image is the name of its folder; without a folder, one of its own.

    Raises:
        DataError: The file is missing or of no known format, a line doesn't fit, compares an image
            with itself or contradicts the folders; names file and line.
    """
    rows = parse_pairs(path)
    if not rows:
        raise DataError(f"pair list {path} must list pairs, it has a header only")
    for row in rows:
        _check_row(row, path)
    place_of_key: dict[str, int] = {}
    for row in rows:
        place_of_key.setdefault(row.a, len(place_of_key))
        place_of_key.setdefault(row.b, len(place_of_key))
    people = [person_of(key) or key for key in place_of_key]
    return Pairs(
        keys=tuple(place_of_key),
        first=np.array([place_of_key[row.a] for row in rows], np.int64),
        second=np.array([place_of_key[row.b] for row in rows], np.int64),
        same=np.array([row.same for row in rows], np.bool_),
        fold=np.array([row.fold for row in rows], np.int64),
        identity=np.unique(people, return_inverse=True)[1].astype(np.int64),
    )


def make_pairs(
    labels: NDArray[np.integer] | Sequence[int], seed: int, folds: int = 10, per_fold: int = 300
) -> Pairs:
    """Draw pairs of dataset indices in identity-disjoint folds.

    Each fold has `per_fold` same and `per_fold` different pairs among its own identities, no pair
    twice, spread evenly over the identities. Identities with a single image are left out.

    Args:
        labels: Person on each image of the data set, (N,).
        seed: Seed of folds and pairs.
        folds: Number of folds, at least 2.
        per_fold: Same pairs, and different pairs, of each fold.

    Returns:
        Pairs whose keys are the indices as text, in order; identities are the labels.

    Raises:
        DataError: Too few identities with two images, or too few images for so many pairs.
    """
    if folds < 2 or per_fold < 1:
        raise DataError(
            f"pairs need 2 folds or more and 1 pair or more in each, got {folds} "
            f"folds of {per_fold}"
        )
    label_of_image = np.asarray(labels, np.int64)
    drawn = sample_pairs(label_of_image, seed, folds, per_fold)
    used, places = np.unique(np.concatenate([drawn.first, drawn.second]), return_inverse=True)
    first, second = np.split(places.astype(np.int64), 2)
    return Pairs(
        keys=tuple(map(str, used.tolist())),
        first=first,
        second=second,
        same=drawn.same,
        fold=drawn.fold,
        identity=label_of_image[used],
    )


def check_images(pairs: Pairs, store: ImageStore) -> None:
    """Refuse pairs whose images the store lacks.

    Raises:
        DataError: Images are missing; names the first ten and counts all.
    """
    missing = store.missing(iter(pairs.keys))
    if missing:
        names = ", ".join(missing[:_SHOWN_NAMES]) + (
            ", ..." if len(missing) > _SHOWN_NAMES else ""
        )
        raise DataError(
            f"all {len(pairs.keys)} images of the pairs must be in {store.path}, "
            f"{len(missing)} are missing: {names}"
        )


def _check_row(row: PairRow, path: str | os.PathLike[str]) -> None:
    if row.a == row.b:
        raise DataError(f'{path} line {row.line} must name two images, got "{row.a}" twice')
    one, other = person_of(row.a), person_of(row.b)
    if one and other and row.same != (one == other):
        said = "same" if row.same else "different"
        raise DataError(
            f"{path} line {row.line} must agree with the folders, which name the "
            f'person: it says {said} of "{row.a}" and "{row.b}"'
        )


def person_of(key: str) -> str:
    """The person on an image: the name of its folder, "" without one."""
    return os.path.basename(os.path.dirname(key))
