"""Drivers that start at one instant: one goes on, whoever sees whom."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lfs_ray.errors import RunError
from lfs_ray.execution.generations import newest_generation, start_generation
from lfs_ray.storage import Buffer, Storage


class Together(Storage):
    """Storage whose writers wait for each other at their first write and first delete."""

    def __init__(self, folder: Path, writers: int) -> None:
        super().__init__(folder, fsync=False)
        self.barrier = threading.Barrier(writers, timeout=30.0)
        self.seen: set[tuple[int, str]] = set()

    def wait_once(self, place: str) -> None:
        one = (threading.get_ident(), place)
        if one not in self.seen:
            self.seen.add(one)
            self.barrier.wait()

    def write(self, name: str, *parts: Buffer) -> int:
        self.wait_once("before the write")
        size = super().write(name, *parts)
        self.wait_once("after the write")
        return size

    def delete(self, name: str) -> None:
        self.wait_once("before the delete")
        super().delete(name)


@pytest.mark.parametrize("drivers", [2, 3])
def test_of_drivers_that_all_see_each_other_one_goes_on(drivers: int, tmp_path: Path) -> None:
    storage = Together(tmp_path, drivers)
    withdrawn: list[float] = []

    def pause(seconds: float) -> None:
        withdrawn.append(seconds)
        time.sleep(seconds)

    def start() -> int | str:
        try:
            return start_generation(storage, ["p"], pause=pause)
        except RunError as error:
            return str(error)

    with ThreadPoolExecutor(drivers) as pool:
        found = [one.result() for one in [pool.submit(start) for _ in range(drivers)]]
    assert len(withdrawn) >= drivers  # all of them, the first time
    assert found.count(0) == 1
    assert sum("one driver at a time" in str(one) for one in found) == drivers - 1
    assert newest_generation(storage) == 0
    assert len(storage.list("generations")) == 1


def test_driver_that_looked_before_another_started_is_refused(tmp_path: Path) -> None:
    storage = Storage(tmp_path, fsync=False)
    newest = newest_generation(storage)
    assert start_generation(storage, ["p"], after=newest) == 0
    with pytest.raises(RunError, match="one driver at a time"):
        start_generation(storage, ["p"], after=newest)
    assert start_generation(storage, ["p"], after=0) == 1
