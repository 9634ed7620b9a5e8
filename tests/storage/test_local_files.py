"""Local files: whole or absent, on the disk when a write is done, errors in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from lfs_ray.errors import RunError
from lfs_ray.storage import TEMPORARY, Storage, local_files


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


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
            local_files,
            "open",
            lambda path, mode: FailingStream(path.open(mode), failure),
            raising=False,
        )
    else:
        monkeypatch.setattr(local_files.os, step, fail)
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

    monkeypatch.setattr(local_files.os, "fsync", seen_fsync)
    monkeypatch.setattr(local_files.os, "replace", seen_replace)
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

    monkeypatch.setattr(local_files.os, "fsync", fail)
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


def test_what_killed_processes_left_half_written_is_swept_after_an_hour(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "run", fsync=False)
    storage.sweep("f")
    storage.write("f/a", b"whole")
    folder = tmp_path / "run/f"
    now_s = folder.stat().st_mtime
    for name, age_s in ((f"{TEMPORARY}old", 3700.0), (f"{TEMPORARY}new", 3500.0), ("b", 9000.0)):
        (folder / name).write_bytes(b"ha")
        os.utime(folder / name, (now_s - age_s, now_s - age_s))
    os.utime(folder, (now_s, now_s))
    storage.sweep("f")
    assert files_below(folder) == [f"{TEMPORARY}new", "a", "b"]
