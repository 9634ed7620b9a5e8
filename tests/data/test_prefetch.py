from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data.prefetch import ordered_map


class Counted:
    """Counts results that exist: under way, waiting or still with the consumer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __call__(self, item: int) -> Result:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        return Result(self, item)

    def drop(self) -> None:
        with self._lock:
            self.now -= 1


class Result:
    def __init__(self, counter: Counted, item: int) -> None:
        self.counter, self.item = counter, item

    def __del__(self) -> None:
        self.counter.drop()


@given(st.integers(0, 30), st.integers(1, 4), st.integers(1, 6))
def test_results_come_in_order_and_few_exist(num: int, threads: int, ahead: int) -> None:
    counted = Counted()
    items = []
    for result in ordered_map(counted, range(num), threads=threads, ahead=ahead):
        items.append(result.item)
        assert counted.now <= ahead + 1
    assert items == list(range(num))
    assert counted.most <= ahead + 1


def test_items_are_asked_for_when_there_is_room() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            asked.append(item)
            yield item

    results = ordered_map(lambda item: item * item, items(), threads=2, ahead=5)
    for taken in range(1, 90):
        assert next(results) == (taken - 1) ** 2
        assert taken + 4 <= len(asked) <= taken + 5
    assert list(results) == [item * item for item in range(89, 100)]


def test_an_error_comes_in_its_place() -> None:
    results = ordered_map(lambda item: 6 // item, [3, 2, 0, 1], threads=2, ahead=3)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []
