"""Files of a run: whole or absent, on local paths and on filesystems that pyarrow opens."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from pathlib import Path
from typing import BinaryIO

import pytest
from pyarrow import fs

from lfs_ray import storage as storage_module
from lfs_ray.errors import RunError
from lfs_ray.storage import TEMPORARY, Storage

KINDS = ("path", "file uri", "object store")


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    urls = {"path": str(tmp_path / "run"), "file uri": f"file://{tmp_path}/run"}
    # pyarrow's own fake of an object store: files in memory, no rename of ours.
    return Storage(urls.get(request.param, "mock:///run"))


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---- what every kind does


def test_what_is_written_is_read(storage: Storage) -> None:
    assert storage.write("a/b/c.bin", b"one", bytearray(b"two"), memoryview(b"three")) == 11
    assert storage.read("a/b/c.bin") == b"onetwothree"
    assert storage.size("a/b/c.bin") == 11
    storage.write("a/b/c.bin", b"")
    assert (storage.read("a/b/c.bin"), storage.size("a/b/c.bin")) == (b"", 0)


def test_size_counts_bytes_not_items(storage: Storage) -> None:
    assert storage.write("x", memoryview(b"12345678").cast("d")) == 8
    assert storage.size("x") == 8


def test_nothing_is_created_before_the_first_write(storage: Storage) -> None:
    assert not storage.exists("")
    assert storage.list() == []
    storage.write("x", b"x")
    assert storage.exists("")


def test_what_is_absent(storage: Storage) -> None:
    storage.write("there/x", b"x")
    assert storage.exists("there")
    assert storage.exists("there/x")
    assert not storage.exists("here")
    assert storage.size("here") is None
    assert storage.size("there") is None
    assert storage.list("here") == []
    with pytest.raises(FileNotFoundError):
        storage.read("here")


def test_list_is_sorted_and_names_files_and_folders(storage: Storage) -> None:
    for name in ("f/b", "f/a", "f/c/deep", "g"):
        storage.write(name, b"")
    assert storage.list("f") == ["a", "b", "c"]
    assert storage.list() == ["f", "g"]


def test_list_hides_temporary_files(storage: Storage) -> None:
    storage.write(f"f/{TEMPORARY}left-by-a-crash", b"half")
    storage.write("f/a", b"")
    assert storage.list("f") == ["a"]


def test_delete_is_repeatable(storage: Storage) -> None:
    storage.write("f/a", b"")
    storage.write("f/b", b"")
    for _ in range(2):
        storage.delete("f/a")
    assert storage.list("f") == ["b"]
    storage.delete("nowhere/a")


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_write_that_raises_changes_nothing(storage: Storage, old: bytes | None) -> None:
    if old is not None:
        storage.write("f/a", old)
    with pytest.raises(TypeError):
        storage.write("f/a", b"new", "not bytes")  # type: ignore[arg-type]
    assert storage.exists("f/a") == (old is not None)
    assert old is None or storage.read("f/a") == old


# ---- local files


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize(
    ("failure", "seen", "message"),
    [
        (FULL, RunError, "f/a of 5 bytes could not be written .No space left on device"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_a_local_write_that_fails_half_way_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    scheme: str,
    failure: BaseException,
    seen: type[BaseException],
    message: str | None,
) -> None:
    storage = Storage(f"{scheme}{tmp_path}")
    storage.write("f/a", b"old")

    def fail(*args: object) -> None:
        assert files_below(tmp_path) != ["f/a"], "a temporary file is being written"
        raise failure

    if step == "write":
        monkeypatch.setattr(
            storage_module,
            "open",
            lambda path, mode: FailingStream(path.open(mode), failure),
            raising=False,
        )
    else:
        monkeypatch.setattr(storage_module.os, step, fail)
    with pytest.raises(seen, match=message):
        storage.write("f/a", b"new", b"er")
    assert files_below(tmp_path) == ["f/a"]
    assert storage.read("f/a") == b"old"


class FailingStream:
    """A file whose second write fails."""

    def __init__(self, stream: BinaryIO, failure: BaseException) -> None:
        self.stream = stream
        self.failure = failure
        self.num_writes = 0

    def __enter__(self) -> FailingStream:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def write(self, part: bytes) -> None:
        self.num_writes += 1
        if self.num_writes > 1:
            raise self.failure
        self.stream.write(part)


def test_the_final_name_appears_when_the_content_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(handle: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        fsync(handle)

    def seen_replace(source: Path, target: Path) -> None:
        assert source.read_bytes() == b"content"
        assert source.name.startswith(TEMPORARY)
        assert source.parent == target.parent
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(storage_module.os, "fsync", seen_fsync)
    monkeypatch.setattr(storage_module.os, "replace", seen_replace)
    Storage(tmp_path).write("f/a", b"content")
    assert steps == ["file", "rename", "folder"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="must take files") as caught:
        Storage(tmp_path / "file").write("f/a", b"content")
    assert len(str(caught.value).splitlines()) == 1


def test_fsync_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise AssertionError("fsync was called")

    monkeypatch.setattr(storage_module.os, "fsync", fail)
    Storage(tmp_path, fsync=False).write("f/a", b"content")
    assert (tmp_path / "f/a").read_bytes() == b"content"
    with pytest.raises(AssertionError):
        Storage(tmp_path).write("f/a", b"content")


def test_file_uri_is_the_path(tmp_path: Path) -> None:
    by_uri, by_path = Storage(f"file://{tmp_path}/a%20b"), Storage(tmp_path / "a b")
    by_uri.write("f/x", b"x")
    assert by_path.read("f/x") == b"x"
    assert by_uri.path("f/x") == by_path.path("f/x") == str(tmp_path / "a b/f/x")
    assert Path(by_uri.path()).is_dir()


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Storage("~/runs").write("x", b"x")
    assert files_below(tmp_path) == ["runs/x"]


# ---- other processes


@pytest.mark.parametrize("fsync", [True, False])
def test_a_copy_opens_the_same_folder(tmp_path: Path, fsync: bool) -> None:
    storage = Storage(tmp_path, fsync=fsync)
    storage.write("x", b"x")
    for other in (copy.copy(storage), copy.deepcopy(storage), pickle.loads(pickle.dumps(storage))):
        assert other.read("x") == b"x"
        assert other.fsync == fsync


def test_a_relative_path_means_the_same_folder_in_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage("run")
    sent = pickle.dumps(storage)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pickle.loads(sent).write("x", b"x")
    assert storage.read("x") == b"x"
    assert storage.path("x") == str(tmp_path / "run/x")


def test_a_remote_folder_is_reopened_by_its_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = fs.FileSystem.from_uri("mock:///")[0]
    monkeypatch.setattr(storage_module, "_open_uri", lambda url: (bucket, url.split("//")[1]))
    storage = Storage("s3://bucket/run/?region=x")
    storage.write("x", b"x")
    assert pickle.loads(pickle.dumps(storage)).read("x") == b"x"
    assert pickle.loads(pickle.dumps(storage)).url == "s3://bucket/run/?region=x"


@pytest.mark.parametrize("url", ["nope://bucket/run", "file://with space"])
def test_a_uri_that_cannot_be_opened_is_one_line(url: str) -> None:
    with pytest.raises(RunError) as caught:
        Storage(url)
    assert len(str(caught.value).splitlines()) == 1
    assert url in str(caught.value)
