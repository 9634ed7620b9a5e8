"""Packing that is killed, fails or is interrupted goes on to what an undisturbed one writes."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lmdb
import pytest
from memory_source import MemorySource, content, die, in_child, memory_source

from lfs_ray.data import pack as pack_module
from lfs_ray.data import packed_writer, unfinished
from lfs_ray.data.growing_lmdb import GrowingLmdb
from lfs_ray.data.image_changes import ImageChanges
from lfs_ray.data.pack import pack_source
from lfs_ray.data.packed_writer import PackedWriter
from lfs_ray.data.shards import cut_shards
from lfs_ray.data.store import open_store
from lfs_ray.data.unfinished import unfinished_path
from lfs_ray.errors import DataError

NUM_IMAGES = 230  # five shards of 40 and one of 30


class QuickLmdb(GrowingLmdb):
    """A process that is killed leaves the same, whether the disk was waited for or not."""

    def __init__(self, file: Path, *, durable: bool) -> None:
        super().__init__(file, durable=False)


def small_and_quick(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(pack_module, "cut_shards", partial(cut_shards, max_records=40))
    patched.setattr(packed_writer, "GrowingLmdb", QuickLmdb)
    patched.setattr(os, "fsync", lambda number: None)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    small_and_quick(monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "set"
    with pytest.MonkeyPatch.context() as patched:
        small_and_quick(patched)
        pack_source(memory_source(NUM_IMAGES), folder, ImageChanges(), threads=2)
    return folder


def go_on(folder: Path, source: MemorySource | None = None, **options: object) -> None:
    source = source or memory_source(NUM_IMAGES)
    pack_source(source, folder, ImageChanges(), threads=2, **options)  # type: ignore[arg-type]


def assert_same(folder: Path, other: Path) -> None:
    assert content(folder) == content(other)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in other.iterdir()
    )
    store, expected = open_store(folder), open_store(other)
    keys = list(expected.keys())
    assert list(store.keys()) == keys
    assert all(store.read(key) == expected.read(key) for key in keys)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def dying(owner: object, name: str, call: int, *, after: bool) -> None:
    """Have the process killed before or after call number `call` of a function."""
    original: Callable[..., object] = getattr(owner, name)
    calls = iter(range(1000))

    def replaced(*args: object, **options: object) -> object:
        mine = next(calls) == call
        if mine and not after:
            die()
        result = original(*args, **options)
        if mine and after:
            die()
        return result

    setattr(owner, name, replaced)


PLACES: list[tuple[object, str, int]] = [
    (PackedWriter, "add", 0),
    (PackedWriter, "_append", 0),  # list of the first shard
    (PackedWriter, "_append", 1),  # its journal
    (PackedWriter, "_append", 6),  # list of the fourth
    (PackedWriter, "_append", 7),  # its journal
    (GrowingLmdb, "put", 0),
    (GrowingLmdb, "put", 3),
    (GrowingLmdb, "commit", 0),
    (GrowingLmdb, "commit", 3),
    (GrowingLmdb, "commit", 5),
    (packed_writer, "write_table", 0),
    (packed_writer, "write_manifest", 0),
    (packed_writer, "sync_files", 0),
    (os, "rename", 0),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "name", "call"), PLACES)
def test_killed_anywhere(
    owner: object, name: str, call: int, after: bool, tmp_path: Path, undisturbed: Path
) -> None:
    folder = tmp_path / "set"

    def killed() -> None:
        dying(owner, name, call, after=after)
        go_on(folder)

    assert in_child(killed) == -signal.SIGKILL
    if folder.exists():  # killed between the renaming and the end: all there, books left
        assert (name, after) == ("rename", True)
        assert content(folder) == content(undisturbed)
        return
    assert not open_now(folder)
    go_on(folder)
    assert_same(folder, undisturbed)


def open_now(folder: Path) -> bool:
    return any(path.name == folder.name for path in folder.parent.iterdir())


def test_half_a_line_in_list_and_journal(tmp_path: Path, undisturbed: Path) -> None:
    """What a power failure leaves of files that were being appended to."""
    folder = tmp_path / "set"

    def killed() -> None:
        dying(GrowingLmdb, "commit", 3, after=False)
        go_on(folder)

    assert in_child(killed) == -signal.SIGKILL
    work = unfinished_path(folder)
    for file, cut in ((work / "list.txt", 7), (work / ".packing/shards.jsonl", 20)):
        file.write_bytes(file.read_bytes()[:-cut])
    go_on(folder)
    assert_same(folder, undisturbed)


def test_what_is_whole_is_not_read_again(tmp_path: Path) -> None:
    def killed() -> None:
        dying(GrowingLmdb, "commit", 3, after=True)
        go_on(tmp_path / "set")

    in_child(killed)
    read: list[int] = []
    source = memory_source(NUM_IMAGES)
    source.on_read = read.append
    seen: list[tuple[int, int]] = []
    go_on(tmp_path / "set", source, watch=lambda done, total: seen.append((done, total)))
    assert sorted(read) == list(range(160, NUM_IMAGES))
    assert seen[0] == (160, NUM_IMAGES)
    assert seen[-1] == (NUM_IMAGES, NUM_IMAGES)


def test_killed_again_and_again(tmp_path: Path, undisturbed: Path) -> None:
    folder = tmp_path / "set"
    chance = random.Random(0)
    source = memory_source(NUM_IMAGES)
    source.on_read = lambda place: time.sleep(0.0004)
    for _ in range(30):
        child = os.fork()
        if not child:
            try:
                go_on(folder, source)
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0.0, 0.12))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if folder.exists():
            break
    if not folder.exists():
        go_on(folder)
    assert content(folder) == content(undisturbed)


@pytest.mark.parametrize("done", [0, 1, 4])
def test_interrupt(tmp_path: Path, undisturbed: Path, done: int) -> None:
    folder = tmp_path / "set"
    source = memory_source(NUM_IMAGES)

    def interrupt(images: int, total: int) -> None:
        if images == 40 * done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go_on(folder, source, watch=interrupt)
    assert unfinished_path(folder).exists() == (done > 0)
    go_on(folder)
    assert_same(folder, undisturbed)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "it is full .*No space left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "it is full .*quota"),
        (lmdb.DiskError("mdb_txn_commit: No space left on device"), "it is full .*No space left"),
        (OSError(errno.EIO, "Input/output error"), "it cannot .*Input/output"),
        (lmdb.Error("mdb_put: whatever"), "it cannot .*whatever"),
    ],
)
def test_a_disk_that_fails(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch,
    error: Exception, message: str,
) -> None:  # fmt: skip
    folder, old = tmp_path / "set", tmp_path / "old"
    pack_source(memory_source(7), old, ImageChanges())
    before = content(old)
    put, calls = GrowingLmdb.put, iter(range(1000))

    def failing(self: GrowingLmdb, blocks: list[object]) -> None:
        if next(calls) == 2:
            raise error
        put(self, blocks)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(GrowingLmdb, "put", failing)
        with pytest.raises(DataError, match=message) as caught:
            go_on(folder)
    assert "\n" not in str(caught.value)
    assert "same command" in str(caught.value)
    assert not folder.exists()
    assert content(old) == before
    unfinished_names = {path.name for path in tmp_path.iterdir()}
    assert unfinished_names == {"old", ".set.unfinished"}
    go_on(folder)
    assert content(folder) == content(undisturbed)


def test_a_full_disk_that_lmdb_calls_an_input_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: GrowingLmdb, blocks: list[object]) -> None:
        raise lmdb.Error("mdb_txn_commit: Input/output error")

    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(GrowingLmdb, "put", fails)
    with pytest.raises(DataError, match=r"it is full .*Input/output error"):
        go_on(tmp_path / "set")


def test_lock_file_of_an_earlier_version(begun: Path, undisturbed: Path) -> None:
    """What it left is continued, and its lock file is no part of the set."""
    (unfinished_path(begun) / "data.lmdb-lock").write_bytes(bytes(1 << 14))
    go_on(begun)
    assert_same(begun, undisturbed)


def test_a_file_that_may_not_grow(tmp_path: Path, undisturbed: Path) -> None:
    """A real limit of the system, in a process of its own."""
    folder = tmp_path / "set"
    texts = tmp_path / "said"

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
        try:
            go_on(folder)
        except DataError as error:
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
            texts.write_text(str(error))

    assert in_child(limited) == 0
    assert "it cannot (mdb_txn_commit: Input/output error): repair that" in texts.read_text()
    assert not folder.exists()
    go_on(folder)
    assert content(folder) == content(undisturbed)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A packing that was killed after its fourth shard."""

    def killed() -> None:
        dying(GrowingLmdb, "commit", 3, after=True)
        go_on(tmp_path / "set")

    in_child(killed)
    return tmp_path / "set"


def changed_source() -> MemorySource:
    source = memory_source(NUM_IMAGES)
    source.fingerprint = "f1"
    return source


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        (changed_source(), ImageChanges(), "begun with, source changed"),
        (memory_source(NUM_IMAGES + 1), ImageChanges(), "begun with, source changed"),
        (memory_source(NUM_IMAGES), ImageChanges(size_px=16), "begun with, options changed"),
    ],
)
def test_another_plan(
    begun: Path, source: MemorySource, changes: ImageChanges, message: str
) -> None:
    with pytest.raises(DataError, match=f"{message}: repeat the first command, or give --restart"):
        pack_source(source, begun, changes)
    assert unfinished_path(begun).exists()
    manifest = pack_source(source, begun, changes, restart=True)
    assert manifest["images"] == len(source)
    assert manifest["changed"] == changes.facts()


def test_another_version(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_module, "__version__", "99")
    with pytest.raises(DataError, match="version of lfs-ray changed"):
        go_on(begun)


def test_files_that_do_not_fit_together(begun: Path, undisturbed: Path) -> None:
    journal = unfinished_path(begun) / ".packing/shards.jsonl"
    rows = journal.read_text().splitlines(keepends=True)
    for text in ("", "".join(rows[:2]), "no json\n", "[]\n", '{"first": "x"}\n'):
        journal.write_text(text)
        with pytest.raises(DataError, match=r"do not fit together \(160 images stored"):
            go_on(begun)
    journal.write_text("".join(rows))
    os.truncate(unfinished_path(begun) / "list.txt", 100)
    with pytest.raises(DataError, match="do not fit together"):
        go_on(begun)
    go_on(begun, restart=True)
    assert_same(begun, undisturbed)


@pytest.mark.parametrize("shard", [1, 5])
def test_what_the_disk_lost_is_found(tmp_path: Path, shard: int) -> None:
    """A stored image that is another one is found when it is read back."""

    class Lossy(QuickLmdb):
        puts = 0

        def put(self, blocks: list) -> None:  # type: ignore[type-arg, override]
            if Lossy.puts == shard:
                value = bytearray(blocks[0].values[7])
                value[20] ^= 1
                blocks[0].values[7] = bytes(value)
            Lossy.puts += 1
            super().put(blocks)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packed_writer, "GrowingLmdb", Lossy)
        with pytest.raises(DataError, match=f"images {40 * shard} to .* not read back as they"):
            go_on(tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_what_the_disk_lost_before_is_found(begun: Path) -> None:
    file = unfinished_path(begun) / "data.lmdb"
    image = memory_source(NUM_IMAGES).records[5].image
    changed = bytes([*image[:-1], image[-1] ^ 1])
    file.write_bytes(file.read_bytes().replace(image, changed))
    with pytest.raises(DataError, match="not read back as they were written"):
        go_on(begun)


def test_one_packer_a_target(tmp_path: Path) -> None:
    source = memory_source(NUM_IMAGES)
    refused: list[str] = []

    def second(place: int) -> None:
        if place == 0:
            with pytest.raises(DataError) as caught:
                go_on(tmp_path / "set")
            refused.append(str(caught.value))

    source.on_read = second
    go_on(tmp_path / "set", source)
    assert len(refused) == 1
    assert f"process {os.getpid()} is packing it: wait for it, or choose another" in refused[0]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_one_who_waited_finds_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is had when the other one has just come to the end."""

    def overtaken(dst: Path) -> None:
        if not dst.exists():
            monkeypatch.undo()
            go_on(dst)

    monkeypatch.setattr(unfinished, "refuse_existing", overtaken)
    with pytest.raises(DataError, match=r"must be a new directory, .*set exists"):
        go_on(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_lock_file_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner removed the directory between our opening and locking it: try again."""
    work = unfinished_path(tmp_path / "set")
    flock, tries = fcntl.flock, iter(range(10))

    def slow(lock: int, operation: int) -> None:
        if next(tries) == 0:
            for file in (work / ".packing").iterdir():
                file.unlink()
        flock(lock, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    go_on(tmp_path / "set")
    assert next(tries) >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
