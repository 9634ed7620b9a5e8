"""The search finds all near pairs, and no other, without comparing all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data import hash_search
from lfs_ray.data.hash_search import MEMBERS, differing_bits, near_pairs


def all_near(hashes: np.ndarray, radius: int) -> list[tuple[int, int, int]]:
    """Every pair compared, bit by bit."""
    values = [int(value) for value in hashes]
    return [
        (i, j, (values[i] ^ values[j]).bit_count())
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= radius
    ]


def found(hashes: np.ndarray, radius: int) -> list[tuple[int, int, int]]:
    pairs = near_pairs(hashes, radius)
    rows = zip(pairs.first.tolist(), pairs.second.tolist(), pairs.bits.tolist(), strict=True)
    return list(rows)


def with_relatives(seed: int, count: int, reach: int) -> np.ndarray:
    """Random hashes, a part of which differ from another in up to `reach` bits."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, count, dtype=np.uint64) * np.uint64(2)
    for place in range(0, count - 1, 2):
        flips = rng.choice(64, rng.integers(0, reach + 1), replace=False).astype(np.uint64)
        change = np.bitwise_or.reduce(np.uint64(1) << flips) if len(flips) else np.uint64(0)
        hashes[place + 1] = hashes[rng.integers(0, place + 1)] ^ change
    return hashes


@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 12))
def test_finds_what_comparing_all_finds(seed: int, count: int, radius: int) -> None:
    hashes = with_relatives(seed, count, radius + 2)
    assert found(hashes, radius) == all_near(hashes, radius)


@pytest.mark.parametrize("kept", [1, 2, 3, 4])
def test_every_number_of_bands_finds_them(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_search, "_bands_kept", lambda count, radius: kept)
    hashes = with_relatives(3, 300, 8)
    assert found(hashes, 6) == all_near(hashes, 6)


def test_bands_grow_with_the_set() -> None:
    bands = [hash_search._bands_kept(count, 6) for count in (10, 10**3, 10**6, 10**8, 10**12)]
    assert bands == sorted(bands)
    assert bands[0] == 1
    assert bands[2] == 3
    assert bands[-1] == 4


def test_many_copies_stay_linear() -> None:
    hashes = np.concatenate([np.full(5000, 7), np.full(MEMBERS, 6), [2**40]]).astype(np.uint64)
    pairs = near_pairs(hashes, 6)
    both = {(i, j) for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}
    assert len(both) == len(pairs.first) < 5000 + 3 * MEMBERS**2
    assert {i for pair in both for i in pair} >= set(range(5000 + MEMBERS))
    assert (0, 5000) in both


def test_finds_every_relative_among_many() -> None:
    rng = np.random.default_rng(1)
    strangers = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    flips = rng.permuted(np.tile(np.arange(64), (20_000, 1)), axis=1)[:, :6].astype(np.uint64)
    hashes = np.concatenate([strangers, strangers ^ (np.uint64(1) << flips).sum(axis=1)])
    pairs = near_pairs(hashes, 6)
    assert pairs.first.tolist() == list(range(20_000))
    assert pairs.second.tolist() == list(range(20_000, 40_000))
    assert (pairs.bits == 6).all()


def test_differing_bits() -> None:
    one = np.array([0, 5, 2**64 - 1], np.uint64)
    assert differing_bits(one, np.zeros(3, np.uint64)).tolist() == [0, 2, 64]


def test_refuses_a_radius_without_sense() -> None:
    with pytest.raises(ValueError, match="17"):
        near_pairs(np.zeros(2, np.uint64), 17)
