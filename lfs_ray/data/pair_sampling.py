"""Random pairs of labelled images: identity-disjoint folds, as many same as different pairs.

Data flow: labels of held-out identities -> here -> index pairs -> `pairs.make_pairs`. Pairs are
spread evenly over the identities of a fold, so that those with many images don't dominate, and
none comes twice. Only raw words of PCG64 are used: the same pairs under every version of numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError
from lfs_ray.seeds import derive_seed

Indices = NDArray[np.int64]
_UNIT = 2.0**-53


class IndexPairs(NamedTuple):
    """Pairs of dataset indices, each (P,); fold by fold, same pairs first."""

    first: Indices
    second: Indices
    same: NDArray[np.bool_]
    fold: Indices


def sample_pairs(labels: Indices, seed: int, folds: int, per_fold: int) -> IndexPairs:
    """Draw per_fold same and per_fold different pairs in each fold; see `pairs.make_pairs`."""
    fold_of_image = deal_identities(labels, seed, folds)
    parts: list[tuple[Indices, Indices]] = []
    for fold in range(folds):
        members = _members(labels, np.flatnonzero(fold_of_image == fold))
        words = np.random.PCG64(derive_seed(int(seed), "pairs", fold))
        parts += [
            _same_pairs(members, per_fold, words, fold),
            _different_pairs(members, per_fold, words, fold),
        ]
    return IndexPairs(
        np.concatenate([first for first, _ in parts]),
        np.concatenate([second for _, second in parts]),
        np.tile(np.repeat([True, False], per_fold), folds),
        np.repeat(np.arange(folds), 2 * per_fold),
    )


def deal_identities(labels: Indices, seed: int, folds: int) -> Indices:
    """Fold of each image (N,): identities are dealt to and fro, those with most images first.

    Folds so differ by one identity at most, and hold about as many images. Identities with one
    image are left out: fold -1.

    Raises:
        DataError: Fewer than two identities a fold have two images or more.
    """
    identities, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    usable = np.flatnonzero(counts > 1)
    if len(usable) < 2 * folds:
        raise DataError(
            f"pairs in {folds} folds need {2 * folds} identities with two images or "
            f"more, {len(usable)} of {len(identities)} have them: hold out more "
            "identities, or use fewer folds"
        )
    words = np.random.PCG64(derive_seed(int(seed), "folds")).random_raw(len(usable))
    order = usable[np.lexsort((words, -counts[usable]))]
    turn, seat = np.divmod(np.arange(len(order)), folds)
    fold = np.full(len(identities), -1, np.int64)
    fold[order] = np.where(turn % 2, folds - 1 - seat, seat)
    return fold[inverse]


def _members(labels: Indices, images: Indices) -> list[Indices]:
    """Indices of the images of each identity, by label."""
    ordered = images[np.argsort(labels[images], kind="stable")]
    return np.split(ordered, np.flatnonzero(np.diff(labels[ordered])) + 1)


def _same_pairs(
    members: list[Indices], total: int, words: np.random.PCG64, fold: int
) -> tuple[Indices, Indices]:
    capacity = np.array([len(images) * (len(images) - 1) // 2 for images in members])
    first, second = [], []
    for images, quota in zip(members, _spread(capacity, total, words, fold, "same"), strict=True):
        later, earlier = np.tril_indices(len(images), -1)
        chosen = _distinct(len(later), int(quota), words)
        first.append(images[earlier[chosen]])
        second.append(images[later[chosen]])
    return np.concatenate(first), np.concatenate(second)


def _different_pairs(
    members: list[Indices], total: int, words: np.random.PCG64, fold: int
) -> tuple[Indices, Indices]:
    """Spread over pairs of identities; all of them when they are few, else a choice."""
    one, other = np.triu_indices(len(members), 1)
    chosen = np.sort(_distinct(len(one), min(total, len(one)), words))
    sizes = np.array([len(images) for images in members])
    capacity = sizes[one[chosen]] * sizes[other[chosen]]
    quotas = _spread(capacity, total, words, fold, "different")
    first, second = [], []
    for i, j, size, quota in zip(one[chosen], other[chosen], capacity, quotas, strict=True):
        cell = _distinct(int(size), int(quota), words)
        first.append(members[i][cell // len(members[j])])
        second.append(members[j][cell % len(members[j])])
    return np.concatenate(first), np.concatenate(second)


def _spread(
    capacity: Indices, total: int, words: np.random.PCG64, fold: int, kind: str
) -> Indices:
    """Share `total` out evenly, no place above its capacity; what doesn't divide goes by lot."""
    if capacity.sum() < total:
        raise DataError(
            f"fold {fold} must have {total} {kind} pairs, its {len(capacity)} sources "
            f"make only {capacity.sum()}: ask for fewer pairs a fold, or hold out more "
            "identities"
        )
    quotas = np.zeros_like(capacity)
    while remaining := total - int(quotas.sum()):
        unfilled = np.flatnonzero(quotas < capacity)
        if share := remaining // len(unfilled):
            quotas = np.minimum(capacity, quotas + share)
        else:
            quotas[unfilled[_distinct(len(unfilled), remaining, words)]] += 1
    return quotas


def _distinct(size: int, count: int, words: np.random.PCG64) -> Indices:
    """Choose `count` different numbers below `size`, in random order."""
    if size <= 4 * count:
        return np.argsort(words.random_raw(size), kind="stable")[:count]
    drawn = np.empty(0, np.int64)
    while len(drawn) < count:
        more = ((words.random_raw(count) >> np.uint64(11)) * _UNIT * size).astype(np.int64)
        drawn = np.concatenate([drawn, more])
        drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    return drawn[:count]
