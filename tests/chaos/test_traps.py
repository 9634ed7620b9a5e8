"""A process ends exactly at the point that is armed, and only the first that comes there."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_storage import ChaosStorage
from traps import DEATHS, DELETES, POINTS, WRITES, Traps

CONTENT = bytes(range(256)) * 40
NAMES = {
    "checkpoints": "populations/a/checkpoints/round-000003-member-0001-g0.safetensors",
    "journal": "populations/a/journal/round-000003-member-0001.json",
    "round": "populations/a/trials/round-000003.g000000.parquet",
    "rounds": "populations/a/trials/rounds-000000-000003.g000000.parquet",
    "generation": "generations/000000-abc.json",
    "model": "populations/a/model.safetensors",
}
OF_WRITES = dict(zip(WRITES.values(), NAMES.values(), strict=True))


@pytest.fixture
def storage(tmp_path: Path) -> ChaosStorage:
    return ChaosStorage(tmp_path / "run", fsync=False, traps=Traps(str(tmp_path / "traps")))


def end_of(deed: Callable[[], object]) -> int | None:
    """Exit code of a process that does this."""
    process = multiprocessing.get_context("fork").Process(target=deed)
    process.start()
    process.join()
    return process.exitcode


def files_of(storage: ChaosStorage) -> dict[str, bytes]:
    folder = Path(storage.path())
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("points", OF_WRITES, ids=NAMES)
def test_a_write_ends_before_within_or_after(
    points: tuple[str, str, str], storage: ChaosStorage
) -> None:
    before, half, after = points
    path = OF_WRITES[points]
    name = Path(path).name
    write = functools.partial(storage.write, path, CONTENT[:99], CONTENT[99:])
    if before:
        storage.traps.arm(before)
        assert end_of(write) in DEATHS
        assert files_of(storage) == {}
    if half:
        storage.traps.arm(half)
        assert end_of(write) in DEATHS
        ((found, content),) = files_of(storage).items()
        assert found.startswith(".tmp-")
        assert content == CONTENT[: len(CONTENT) // 2]
    if after:
        storage.traps.arm(after)
        assert end_of(write) in DEATHS
        assert files_of(storage)[name] == CONTENT
    assert [hit.point for hit in storage.traps.hits()] == [point for point in points if point]
    assert end_of(write) == 0, "nothing is armed any more"


@pytest.mark.parametrize("point", DELETES.values())
def test_a_deletion_ends_after_the_first_file(point: str, storage: ChaosStorage) -> None:
    path = NAMES["round"] if point == "compaction-deleting" else NAMES["checkpoints"]
    storage.write(path, CONTENT)
    storage.write(f"{path}-more", CONTENT)
    storage.traps.arm(point)

    def delete() -> None:
        storage.delete(path)
        storage.delete(f"{path}-more")

    assert end_of(delete) in DEATHS
    assert list(files_of(storage)) == [f"{Path(path).name}-more"]


def test_the_storage_travels_with_its_traps(storage: ChaosStorage) -> None:
    again = pickle.loads(pickle.dumps(storage))
    assert (again.path(), again.fsync, again.traps) == (storage.path(), False, storage.traps)


def test_a_trap_is_taken_once_and_can_be_taken_back(storage: ChaosStorage) -> None:
    storage.traps.arm("generation")
    assert storage.traps.disarm("generation")
    assert not storage.traps.disarm("generation")
    storage.traps.spring("generation")
    assert storage.traps.hits() == []


def test_a_trap_may_only_note_who_came(storage: ChaosStorage) -> None:
    storage.traps.arm("commit-after", "note")
    storage.write(NAMES["round"], CONTENT)
    assert [hit.point for hit in storage.traps.hits()] == ["commit-after"]


def test_every_point_has_a_name_of_its_own() -> None:
    assert len(set(POINTS)) == len(POINTS) == 14
