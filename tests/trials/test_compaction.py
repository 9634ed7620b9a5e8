"""Closed rounds are joined without loss, and what is joined already is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trial_rows import make_blob

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds, trials_folder
from lfs_ray.trials.compaction import compact
from lfs_ray.trials.ownership import round_name

FOLDER = trials_folder("p")


class Watched(Storage):
    """Storage that notes what is read, and fails to delete while it is told to."""

    sticky = False

    def read(self, name: str) -> bytes:
        self.seen = [*getattr(self, "seen", []), name.rpartition("/")[2]]
        return super().read(name)

    def delete(self, name: str) -> None:
        if self.sticky:
            raise OSError(f"cannot delete {name}")
        super().delete(name)


@pytest.fixture
def storage(tmp_path: Path) -> Watched:
    storage = Watched(tmp_path, fsync=False)
    start(storage, 0, 0)
    return storage


def start(storage: Storage, generation: int, first_round: int) -> None:
    content = {"generation": generation, "first_round": {"p": first_round}}
    storage.write(f"generations/{generation:06d}-x.json", json.dumps(content).encode())


def commit(storage: Storage, *numbers: int, generation: int = 0) -> None:
    for number in numbers:
        blob = make_blob(number, writer=f"g{generation}")
        storage.write(f"{FOLDER}/{round_name(number, generation)}", blob)


def rounds(storage: Storage) -> str:
    """All that is committed, as text: NaN equals itself there."""
    return repr(committed_rounds(storage, "p"))


def test_joined_rounds_read_the_same(storage: Watched) -> None:
    commit(storage, 0, 1, 2)
    before = rounds(storage)
    compact(storage, "p", 0, 3)
    assert storage.list(FOLDER) == ["rounds-000000-000002.g000000.parquet"]
    assert rounds(storage) == before


def test_a_file_that_is_large_enough_is_not_read_again(storage: Watched) -> None:
    for first in (0, 2, 4):
        commit(storage, first, first + 1)
        storage.seen = []
        compact(storage, "p", 0, 2)
        joined = f"rounds-{first:06d}-{first + 1:06d}.g000000.parquet"
        singles = [round_name(first, 0), round_name(first + 1, 0)]
        assert [name for name in storage.seen if "round" in name] == [*singles, joined]
    assert len(storage.list(FOLDER)) == 3
    assert [one.number for one in committed_rounds(storage, "p")] == list(range(6))


def test_rounds_that_were_left_behind_are_joined_with_the_next(storage: Watched) -> None:
    commit(storage, 0, 1, 2)
    compact(storage, "p", 0, 4)
    commit(storage, 3, 4)
    compact(storage, "p", 0, 4)
    assert storage.list(FOLDER) == ["rounds-000000-000004.g000000.parquet"]


def test_one_file_alone_is_not_joined(storage: Watched) -> None:
    commit(storage, 0)
    compact(storage, "p", 0, 4)
    assert storage.list(FOLDER) == [round_name(0, 0)]


def test_originals_that_a_crash_left_are_removed_by_the_next(storage: Watched) -> None:
    commit(storage, 0, 1)
    storage.sticky = True
    with pytest.raises(OSError, match="cannot delete"):
        compact(storage, "p", 0, 2)
    storage.sticky = False
    before = rounds(storage)
    assert len(storage.list(FOLDER)) == 3
    compact(storage, "p", 0, 2)
    assert storage.list(FOLDER) == ["rounds-000000-000001.g000000.parquet"]
    assert rounds(storage) == before


def test_a_file_whose_end_another_generation_owns_stays_and_counts_up_to_there(
    storage: Watched,
) -> None:
    commit(storage, 0, 1, 2, 3)
    compact(storage, "p", 0, 4)
    start(storage, 1, 2)
    commit(storage, 2, 3, generation=1)
    before = rounds(storage)
    assert "g1" in before
    compact(storage, "p", 1, 2)
    assert storage.list(FOLDER) == [
        "rounds-000000-000003.g000000.parquet",
        "rounds-000002-000003.g000001.parquet",
    ]
    assert rounds(storage) == before


def test_a_late_joining_by_an_older_generation_changes_nothing(storage: Watched) -> None:
    commit(storage, 0, 1)
    start(storage, 1, 2)
    commit(storage, 2, 3, generation=1)
    before = rounds(storage)
    compact(storage, "p", 0, 4)
    assert rounds(storage) == before
    compact(storage, "p", 1, 4)
    assert rounds(storage) == before


def test_originals_stay_when_the_joined_file_is_not_what_was_written(tmp_path: Path) -> None:
    class Forgetful(Storage):
        def read(self, name: str) -> bytes:
            return super().read(name)[: -1 if "rounds-" in name else None]

    storage = Forgetful(tmp_path, fsync=False)
    start(storage, 0, 0)
    commit(storage, 0, 1)
    with pytest.raises(RunError, match="must read back as it was written"):
        compact(storage, "p", 0, 2)
    assert len(storage.list(FOLDER)) == 3
