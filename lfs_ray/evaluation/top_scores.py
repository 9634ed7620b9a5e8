"""The largest of a stream of scores: of all of them, or of each row.

Thresholds at tiny rates over billions of pairs, and best matches among a million, need no more.
Inside `all_pairs` and `distractors`, which offer the scores of one block after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROOM = 4096


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
        # An empty start would turn float32 scores into float64.
        parts = [self._kept, *self._waiting] if self._kept.size else self._waiting
        merged = np.concatenate(parts) if parts else self._kept
        self._waiting, self._num_waiting = [], 0
        if len(merged) > self._capacity:
            merged = np.partition(merged, len(merged) - self._capacity)[-self._capacity :]
        self._kept = merged
        if len(merged) == self._capacity:
            self._floor = float(merged.min())


class BestOfRows:
    """The `num_best` largest scores of each row of a matrix that comes in blocks of columns.

    >>> best = BestOfRows(1, 2)
    >>> best.take(0, np.array([[1.0, 4.0, 2.0]], np.float32)).tolist()
    [4.0]
    >>> best.kth([1, 2]).tolist()
    [[4.0, 2.0]]
    """

    def __init__(self, num_rows: int, num_best: int) -> None:
        self._best_RK = np.full((num_rows, num_best), -np.inf, np.float32)

    def take(self, start: int, scores_AB: NDArray[np.float32]) -> NDArray[np.float32]:
        """Merge scores of the rows from `start` on; returns the largest of each, (A,)."""
        best_AK = self._best_RK[start : start + len(scores_AB)]
        largest_A = scores_AB.max(axis=1)
        num_best = best_AK.shape[1]
        if num_best == 1:
            np.maximum(best_AK[:, 0], largest_A, out=best_AK[:, 0])
            return np.asarray(largest_A)
        for row in np.flatnonzero(largest_A > best_AK.min(axis=1)):
            merged = np.concatenate([best_AK[row], scores_AB[row]])
            best_AK[row] = np.partition(merged, len(merged) - num_best)[-num_best:]
        return np.asarray(largest_A)

    def kth(self, ranks: Sequence[int]) -> NDArray[np.float32]:
        """The N-th best of each row for each rank N, (R, K); -inf: there are fewer."""
        falling_RK = -np.sort(-self._best_RK, axis=1)
        return falling_RK[:, [rank - 1 for rank in ranks]]
