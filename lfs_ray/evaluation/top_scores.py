"""The largest of a stream of scores, for thresholds at tiny rates over billions of pairs.

Inside `all_pairs` and `distractors`, which offer the scores of one block after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROOM = 1 << 18


class TopScores:
    """The `capacity` largest values offered so far, in bounded memory.

    >>> top = TopScores(2)
    >>> top.offer(np.array([[3.0, 1.0], [2.0, 5.0]]))
    >>> top.kth_largest(2)
    3.0
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: NDArray[np.floating] = np.empty(0)
        self._waiting: list[NDArray[np.floating]] = []
        self._num_waiting = 0
        self._floor = -np.inf

    @property
    def floor(self) -> float:
        """Values up to this one change nothing any more; -inf until enough were offered."""
        return self._floor

    def offer(self, scores_AB: NDArray[np.floating]) -> None:
        """Take those of a matrix that are above the floor; -inf is no score."""
        row = scores_AB.max(axis=1, initial=-np.inf) > self._floor
        if not row.any():
            return
        rows = scores_AB if row.all() else scores_AB[row]
        self._take(rows[rows > self._floor])

    def offer_rows(self, scores_AB: NDArray[np.floating], best_A: NDArray[np.floating]) -> None:
        """`offer`, where the largest of every row is already known."""
        row = np.flatnonzero(best_A > self._floor)
        if row.size:
            rows = scores_AB[row]
            self._take(rows[rows > self._floor])

    def kth_largest(self, k: int) -> float:
        """The k-th largest of all values offered, k from 1 to the capacity; -inf: fewer came."""
        self._settle()
        return float(np.sort(self._kept)[-k]) if k <= len(self._kept) else -np.inf

    def values(self) -> NDArray[np.floating]:
        """The values kept, falling."""
        self._settle()
        return np.sort(self._kept)[::-1]

    def _take(self, values: NDArray[np.floating]) -> None:
        self._waiting.append(values)
        self._num_waiting += len(values)
        if self._num_waiting > max(self._capacity, _ROOM):
            self._settle()

    def _settle(self) -> None:
        merged = np.concatenate([self._kept, *self._waiting]) if self._waiting else self._kept
        self._waiting, self._num_waiting = [], 0
        if len(merged) > self._capacity:
            merged = np.partition(merged, len(merged) - self._capacity)[-self._capacity :]
        self._kept = merged
        if len(merged) == self._capacity:
            self._floor = float(merged.min())
