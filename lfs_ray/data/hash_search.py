"""Pairs of 64-bit hashes that differ in few bits, among millions, without comparing all.

Data flow: hashes of `perceptual_hash` -> here -> pairs of images that may show one picture.

Multi-index search (Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index
hashing", CVPR 2012), with combined bands: the 64 bits are cut into radius + k bands; two hashes
that differ in at most `radius` bits agree in at least k bands. For each choice of k bands the
hashes are sorted by those bits, and only hashes that agree in them are compared. k grows with the
number of hashes, so that a bucket of random hashes holds about one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.perceptual_hash import Hashes

BITS = 64
MEMBERS = 32
"""Of more equal hashes, the others are paired with the first alone."""
_BLOCK = 1 << 20
_MAX_BANDS_KEPT = 4

Indices = NDArray[np.int64]
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class NearPairs:
    """Pairs of places in an array of hashes; first < second, sorted, each pair once."""

    first: Indices
    """(P,)"""
    second: Indices
    """(P,)"""
    bits: NDArray[np.uint8]
    """In how many bits the two differ, (P,)."""


def near_pairs(hashes: Hashes, radius: int) -> NearPairs:
    """Pairs of hashes that differ in at most `radius` bits.

    Where more than `MEMBERS` hashes are equal, as in a set with ten thousand copies of one
    picture, only the first `MEMBERS` are paired with all that is near; each of the others is
    paired with the first alone. The number of pairs so stays linear.

    Args:
        hashes: (N,) uint64.
        radius: 0 to 16.

    Raises:
        ValueError: `radius` is out of its range.
    """
    if not 0 <= radius <= 16:
        raise ValueError(f"radius must be 0 to 16 bits, got {radius}")
    values, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    low, high = _near_values(values, radius) if radius else (_NONE, _NONE)
    repeated = np.flatnonzero(sizes > 1)
    pairs = np.concatenate([low, repeated]), np.concatenate([high, repeated])
    return _in_order(hashes, _members(group, sizes, *pairs))


def differing_bits(first: Hashes, second: Hashes) -> NDArray[np.uint8]:
    """Number of bits in which two arrays of hashes differ, place by place."""
    return np.asarray(np.bitwise_count(first ^ second), np.uint8)


def _members(
    group: Indices, sizes: Indices, low: Indices, high: Indices
) -> tuple[Indices, Indices]:
    """Places of hashes for pairs of groups of equal ones: all combinations of their members."""
    members = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes
    kept = np.minimum(sizes, MEMBERS)
    combinations_P = kept[low] * kept[high]
    row = np.repeat(np.arange(len(low)), combinations_P)
    number = np.arange(len(row)) - np.repeat(
        np.cumsum(combinations_P) - combinations_P, combinations_P
    )
    one, other = np.divmod(number, kept[high][row])
    wanted = (low[row] != high[row]) | (one < other)
    first = members[starts[low][row] + one][wanted]
    second = members[starts[high][row] + other][wanted]
    beyond = np.flatnonzero(np.arange(len(group)) - np.repeat(starts, sizes) >= MEMBERS)
    leaders = members[np.repeat(starts, sizes)[beyond]]
    return np.concatenate([first, leaders]), np.concatenate([second, members[beyond]])


def _in_order(hashes: Hashes, pairs: tuple[Indices, Indices]) -> NearPairs:
    first, second = np.minimum(*pairs), np.maximum(*pairs)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    return NearPairs(first, second, differing_bits(hashes[first], hashes[second]))


def _near_values(values: Hashes, radius: int) -> tuple[Indices, Indices]:
    """Pairs of places in `values`, which are all different."""
    kept = _bands_kept(len(values), radius)
    bands = _band_masks(radius + kept)
    parts = [
        pair
        for chosen in combinations(bands, kept)
        for pair in _agreeing(values, np.bitwise_or.reduce(np.array(chosen, np.uint64)), radius)
    ]
    if not parts:
        return _NONE, _NONE
    codes = np.unique(np.concatenate([low * len(values) + high for low, high in parts]))
    return codes // len(values), codes % len(values)


def _bands_kept(count: int, radius: int) -> int:
    """Smallest k whose keys have as many values as there are hashes."""
    needed = math.log2(max(count, 2))
    for kept in range(1, _MAX_BANDS_KEPT):
        if BITS * kept / (radius + kept) >= needed:
            return kept
    return _MAX_BANDS_KEPT


def _band_masks(count: int) -> list[np.uint64]:
    """The 64 bits dealt to `count` bands, in turn: neighbouring frequencies go together little."""
    places = np.arange(BITS)
    return [
        np.bitwise_or.reduce(np.uint64(1) << places[band::count].astype(np.uint64))
        for band in range(count)
    ]


def _agreeing(values: Hashes, mask: np.uint64, radius: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs near each other among the values that agree in the bits of `mask`."""
    masked = values & mask
    order = np.argsort(masked, kind="stable")
    keys, ordered = masked[order], values[order]
    # Place i is compared with i + 1, then i + 2, ... as long as anyone's bucket goes so far.
    alive = np.arange(len(values) - 1)
    step = 1
    while len(alive):
        alive = alive[alive < len(values) - step]
        alive = alive[keys[alive] == keys[alive + step]]
        for start in range(0, len(alive), _BLOCK):
            part = alive[start : start + _BLOCK]
            near = part[differing_bits(ordered[part], ordered[part + step]) <= radius]
            if len(near):
                pair = order[near], order[near + step]
                yield np.minimum(*pair), np.maximum(*pair)
        step += 1
