"""A disk that is full or turns read-only stops the search with the reason; a resume ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from executor_cases import FAULTLESS, reference
from scripted_runner import ScriptedRunner
from small_disk import SmallDisk, small_disk
from stored_searches import SMALL, assert_whole, begin, drive, start_driver
from watched_storage import WatchedStorage, at

from lfs_ray.execution.serial import run_serial
from lfs_ray.storage import TEMPORARY, Storage

WANTED = reference(SMALL, FAULTLESS)


@pytest.fixture(params=[True, False], ids=["tmpfs", "played"])
def disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", monkeypatch, real=request.param) as disk:
        yield disk


def search_until(disk: SmallDisk, number: int, break_it: object, marks: Path) -> str:
    """Run a search whose disk breaks before an operation of its storage; what it ends with."""
    storage = WatchedStorage(disk.folder / "run", fsync=False).watch()
    begin(SMALL, storage)
    storage.watch(before=at(number, break_it))  # type: ignore[arg-type]
    keeper = start_driver(SMALL, storage)
    runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=marks)
    return run_serial(keeper, runner, lambda lease, outcome: None)


def assert_nothing_half_written(disk: SmallDisk) -> None:
    assert not [path for path in disk.folder.rglob("*") if path.name.startswith(TEMPORARY)]


@pytest.mark.parametrize(
    ("number", "free_bytes"), [(15, 20_000), (14, 10_000), *((n, 0) for n in range(15, 56, 7))]
)
def test_a_disk_that_is_full_stops_the_search_and_it_resumes(
    number: int, free_bytes: int, disk: SmallDisk, tmp_path: Path
) -> None:
    reason = search_until(disk, number, lambda: disk.leave(free_bytes), tmp_path / "marks")
    assert "No space left on device): make room or give access, then resume" in reason
    assert len(reason.splitlines()) == 1
    assert_nothing_half_written(disk)
    disk.make_room()
    storage = Storage(disk.folder / "run", fsync=False)
    assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert_whole(SMALL, storage, WANTED)


@pytest.mark.parametrize("number", range(15, 56, 7))
def test_a_disk_that_turns_read_only_stops_the_search_and_it_resumes(
    number: int, disk: SmallDisk, tmp_path: Path
) -> None:
    reason = search_until(disk, number, lambda: disk.set_writable(False), tmp_path / "marks")
    assert "(Read-only file system): " in reason
    assert len(reason.splitlines()) == 1
    assert_nothing_half_written(disk)
    disk.set_writable(True)
    storage = Storage(disk.folder / "run", fsync=False)
    assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert_whole(SMALL, storage, WANTED)
