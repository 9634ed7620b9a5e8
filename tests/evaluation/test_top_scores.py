"""The largest of a stream equal those of the sorted whole, however it is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfs_ray.evaluation import top_scores
from lfs_ray.evaluation.top_scores import BestOfRows, TopScores

Cuts = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def matrix(seed: int, rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 9, (rows, columns)).astype(np.float32)


@given(seed=st.integers(0, 10**6), capacity=st.integers(1, 40), cuts=Cuts, known=st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_largest_of_all(seed: int, capacity: int, cuts: list[int], known: bool) -> None:
    top, parts = TopScores(capacity), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_scores, "_ROOM", 5)
        for number, columns in enumerate(cuts):
            part = matrix(seed + number, 4, columns)
            parts.append(part.ravel())
            if known:
                top.offer_rows(part, part.max(axis=1))
            else:
                top.offer(part)
    falling = np.sort(np.concatenate(parts))[::-1]
    assert top.values().tolist() == falling[:capacity].tolist()
    for k in range(1, capacity + 1):
        assert top.kth_largest(k) == (falling[k - 1] if k <= len(falling) else -np.inf)
    assert top.floor == (falling[capacity - 1] if len(falling) >= capacity else -np.inf)


def test_minus_infinity_is_no_score() -> None:
    top = TopScores(3)
    top.offer(np.array([[-np.inf, 1.0]]))
    assert top.values().tolist() == [1.0]
    top.offer(np.empty((0, 4)))
    top.offer(np.empty((4, 0)))
    assert top.values().tolist() == [1.0]


def test_memory_is_bounded_by_the_capacity() -> None:
    top = TopScores(10)
    for number in range(200):
        top.offer(np.random.default_rng(number).random((8, 1000)))
    assert len(top._kept) + top._num_waiting < 20_000


@given(seed=st.integers(0, 10**6), num_best=st.integers(1, 5), cuts=Cuts)
@settings(max_examples=80, deadline=None)
def test_the_best_of_each_row(seed: int, num_best: int, cuts: list[int]) -> None:
    best, parts = BestOfRows(6, num_best), []
    for number, columns in enumerate(cuts):
        part = matrix(seed + number, 6, columns)
        parts.append(part)
        largest = [best.take(start, part[start : start + 4]) for start in (0, 4)]
        assert np.concatenate(largest).tolist() == part.max(axis=1).tolist()
    whole = np.concatenate([*parts, np.full((6, num_best), -np.inf, np.float32)], axis=1)
    falling = -np.sort(-whole, axis=1)
    ranks = [num_best, 1]
    assert best.kth(ranks).tolist() == falling[:, [num_best - 1, 0]].tolist()
