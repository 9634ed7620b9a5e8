"""A search that dies at any operation of its storage, and drivers that were overtaken.

On a local disk and on a real S3 server: the rows and weights are those of an undisturbed run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from executor_cases import FAULTLESS, reference
from s3_server import s3_uri
from scripted_runner import ScriptedRunner
from stored_searches import SMALL, assert_whole, begin, commits_noted, drive, start_driver
from watched_storage import Death, Operation, WatchedStorage, at, die

from lfs_ray.execution.serial import run_serial
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import trials_folder

WANTED = reference(SMALL, FAULTLESS)
Make = Callable[[str], WatchedStorage]


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes storages of one kind by name; nothing is waited for."""
    if getattr(request, "param", "local") == "local":
        return lambda name: WatchedStorage(tmp_path / name, fsync=False, retry_s=0).watch()
    port, bucket = request.getfixturevalue("s3_port"), request.getfixturevalue("bucket")
    return lambda name: WatchedStorage(s3_uri(port, bucket, name), retry_s=0).watch()


def same_place(storage: Storage) -> WatchedStorage:
    """Another process's storage of the same run."""
    return WatchedStorage(storage.url, fsync=False, retry_s=0).watch()


def spans_of(make: Make, tmp_path: Path, patch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Begin and end of each commit of an undisturbed run, in operations."""
    storage = make("undisturbed")
    begin(SMALL, storage)
    storage.watch()
    with commits_noted(patch, lambda: len(storage.seen)) as spans:
        assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert_whole(SMALL, same_place(storage), WANTED)
    return spans


def test_a_death_at_any_operation_of_a_search_changes_nothing(make: Make, tmp_path: Path) -> None:
    number, died = 0, True
    while died:
        storage = make(f"run-{number}")
        begin(SMALL, storage)
        # Before an operation is after the one before: storage changes by operations alone.
        storage.watch(before=at(number, die))
        try:
            assert drive(SMALL, storage, tmp_path / "marks") == ""
            died = False
        except Death:
            assert drive(SMALL, same_place(storage), tmp_path / "marks") == ""
        assert_whole(SMALL, same_place(storage), WANTED)
        number += 1
    assert number > 60


@pytest.mark.slow
@pytest.mark.parametrize("make", ["s3"], indirect=True)
def test_a_commit_on_s3_that_dies_at_any_operation_changes_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = spans_of(make, tmp_path, monkeypatch)[1]
    for number in range(first, last + 1):
        storage = make(f"run-{number}")
        begin(SMALL, storage)
        storage.watch(before=at(number, die))
        with pytest.raises(Death):
            drive(SMALL, storage, tmp_path / "marks")
        assert drive(SMALL, same_place(storage), tmp_path / "marks") == ""
        assert_whole(SMALL, same_place(storage), WANTED)


# ---- a driver that was stopped and goes on after its successor took over


def overtaken(
    make: Make, marks: Path, name: str, stop: Callable[[Operation], bool], *, whole: bool
) -> str:
    """What an old driver ends with that is stopped before an operation of its second commit.

    Meanwhile a new one takes over and ends the search (`whole`), or is in the middle of it when
    the old one goes on, and ends it then.
    """
    storage, newer = make(name), same_place(make(name))
    begin(SMALL, storage)
    done: list[str] = []

    def take_over(number: int, operation: Operation) -> None:
        if not done and stop(operation):
            done.append("begun")
            if whole:
                done.append(drive(SMALL, newer, marks))
            else:
                start_driver(SMALL, newer)

    storage.watch(before=take_over)
    reason = drive(SMALL, storage, marks)
    assert done, "the old driver was not stopped"
    if not whole:
        assert drive(SMALL, same_place(storage), marks) == ""
    assert_whole(SMALL, same_place(storage), WANTED)
    return reason


STOPS: dict[str, Callable[[Operation], bool]] = {
    "before the commit": lambda it: it[0] == "written" and "journal/round-000001-" in it[1],
    "between check and write": lambda it: it[0] == "written" and "trials/round-000001" in it[1],
    "before a delete": lambda it: it[0] == "deleted",
    "before the compaction": lambda it: it[0] == "written" and "trials/rounds-" in it[1],
    "before originals are removed": lambda it: it[0] == "deleted" and "trials/" in it[1],
}


@pytest.mark.parametrize("make", ["local", "s3"], indirect=True)
@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_driver_that_was_overtaken_does_no_harm(
    whole: bool, stop: Callable[[Operation], bool], make: Make, tmp_path: Path
) -> None:
    assert overtaken(make, tmp_path / "marks", "run", stop, whole=whole) != ""


def test_a_driver_that_is_overtaken_at_any_operation_does_no_harm(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = spans_of(make, tmp_path, monkeypatch)[1]
    for number in range(first, last):
        for whole in (True, False):
            left = [number + 1]

            def stop(operation: Operation, left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] == 0

            overtaken(make, tmp_path / "marks", f"{number}-{whole}", stop, whole=whole)


def test_an_old_driver_that_goes_on_while_its_successor_starts_does_no_harm(
    make: Make, tmp_path: Path
) -> None:
    # Between the successor's look at the rounds and what it writes about them, the old one would
    # commit two rounds and delete the parent that the successor starts from.
    storage = make("run")
    begin(SMALL, storage)
    old = start_driver(SMALL, storage)
    runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")
    reasons: list[str] = []

    def go_on(number: int, operation: Operation) -> None:
        if not reasons and operation == ("listed", trials_folder("learns")):
            reasons.append(run_serial(old, runner, lambda lease, outcome: None))

    newer = same_place(storage).watch(after=go_on)
    assert drive(SMALL, newer, tmp_path / "marks") == ""
    assert "the newest driver alone writes to the run" in reasons[0]
    assert_whole(SMALL, same_place(storage), WANTED)
