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

from lfs_ray.data.bin_set import BinSet
from lfs_ray.data.folds import FOLDS, consecutive_folds, dealt_folds
from lfs_ray.data.pair_lists import parse_pairs
from lfs_ray.data.pair_rows import PairRow
from lfs_ray.data.pair_sampling import sample_pairs
from lfs_ray.data.store import ImageStore
from lfs_ray.errors import DataError

_SHOWN_NAMES = 10
_POSES = ("frontal", "profile")


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


def read_pairs(
    path: str | os.PathLike[str], format: str = "", *, shuffle_seed: int | None = None
) -> Pairs:
    """Read a pair list of any format of `pair_lists.FORMATS`.

    The person on an image is the name of its folder. Images without a folder are one person where
    same pairs join them.

    Args:
        path: List file, or the Protocol folder of CFP.
        format: Name of its format; "" for what the file itself tells.
        shuffle_seed: Deals the pairs of each kind to as many folds anew, at random; None keeps
            the folds, and with them comparability to published numbers.

    Raises:
        DataError: The file is missing or of no known format, a line doesn't fit, compares an image
            with itself or contradicts the folders, or all pairs are of one kind; names file and
            line.
    """
    rows = parse_pairs(path, format)
    if not rows:
        raise DataError(f"pair list {path} must list pairs, it has a header only")
    for row in rows:
        _check_row(row)
    if len({row.same for row in rows}) == 1:
        kind, other = ("same", "different") if rows[0].same else ("different", "same")
        raise DataError(
            f"pair list {path} must list same and different pairs, all {len(rows)} are {kind}, "
            f"from {rows[0].place} on: add {other} ones"
        )
    place_of_key: dict[str, int] = {}
    for row in rows:
        place_of_key.setdefault(row.a, len(place_of_key))
        place_of_key.setdefault(row.b, len(place_of_key))
    keys = tuple(place_of_key)
    first = np.array([place_of_key[row.a] for row in rows], np.int64)
    second = np.array([place_of_key[row.b] for row in rows], np.int64)
    same = np.array([row.same for row in rows], np.bool_)
    fold = np.array([row.fold for row in rows], np.int64)
    return Pairs(
        keys=keys,
        first=first,
        second=second,
        same=same,
        fold=fold if shuffle_seed is None else shuffled_folds(same, fold, shuffle_seed),
        identity=_identities(keys, first[same], second[same]),
    )


def shuffled_folds(
    same: NDArray[np.bool_], fold: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Folds dealt anew at random, (P,): each gets as many pairs of each kind as any other.

    There are as many as before, ten where there was one.
    """
    before = len(np.unique(fold))
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(same))
    dealt = np.empty_like(fold)
    dealt[order] = dealt_folds(same[order], before if before > 1 else FOLDS)
    return dealt


def pairs_of_bin(bin_set: BinSet, place: str | os.PathLike[str]) -> Pairs:
    """Pairs of the `.bin` set at `place`: ten blocks in order; a same pair joins two people.

    Raises:
        DataError: Fewer pairs than folds, or all of one kind.
    """
    same = bin_set.same
    if len(same) < FOLDS or same.all() or not same.any():
        raise DataError(
            f"{os.fspath(place)} must hold at least {FOLDS} pairs, same and different ones, found "
            f"{int(same.sum())} same and {int((~same).sum())} different: export it again"
        )
    first, second = np.arange(0, 2 * len(same), 2), np.arange(1, 2 * len(same), 2)
    keys = bin_set.keys()
    return Pairs(
        keys=keys,
        first=first,
        second=second,
        same=same,
        fold=consecutive_folds(len(same)),
        identity=_identities(keys, first[same], second[same]),
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


def drop_missing(pairs: Pairs, store: ImageStore) -> tuple[Pairs, int]:
    """Leave out the pairs whose images the store lacks; how many these are.

    The sizes of the folds change, and so does the number: only for those who ask for it, with the
    count beside the result.

    Raises:
        DataError: No pair is left.
    """
    lost = set(store.missing(iter(pairs.keys)))
    if not lost:
        return pairs, 0
    present = np.array([key not in lost for key in pairs.keys])
    kept = present[pairs.first] & present[pairs.second]
    if not kept.any():
        raise DataError(
            f"some of the {len(pairs)} pairs must have both images in {store.path}, none has: "
            f'"{pairs.keys[0]}" is missing, for one'
        )
    used = np.unique(np.concatenate([pairs.first[kept], pairs.second[kept]]))
    place = np.zeros(len(pairs.keys), np.int64)
    place[used] = np.arange(len(used))
    left = Pairs(
        keys=tuple(pairs.keys[index] for index in used.tolist()),
        first=place[pairs.first[kept]],
        second=place[pairs.second[kept]],
        same=pairs.same[kept],
        fold=pairs.fold[kept],
        identity=pairs.identity[used],
    )
    return left, int((~kept).sum())


def _check_row(row: PairRow) -> None:
    if row.a == row.b:
        raise DataError(f'{row.place} must name two images, got "{row.a}" twice')
    one, other = person_of(row.a), person_of(row.b)
    if one and other and row.same != (one == other):
        said = "same" if row.same else "different"
        raise DataError(
            f"{row.place} must agree with the folders, which name the "
            f'person: it says {said} of "{row.a}" and "{row.b}"'
        )


def _identities(
    keys: Sequence[str], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Person on each image, (K,): by its folder; without one, joined to those it is same as.

    Args:
        keys: Keys of the images, (K,).
        first, second: Places of the images of the same pairs.
    """
    chief = list(range(len(keys)))

    def find(place: int) -> int:
        while chief[place] != place:
            chief[place] = place = chief[chief[place]]
        return place

    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        chief[find(one)] = find(other)
    names = [person_of(key) or f"/{find(place)}" for place, key in enumerate(keys)]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def person_of(key: str) -> str:
    """The person on an image: the name of its folder, "" without one.

    CFP sorts a person's images by pose: there it is the folder above.
    """
    folder, name = os.path.split(os.path.dirname(key))
    return os.path.basename(folder) if name in _POSES else name
