"""What every kind of storage does: a path, file://, pyarrow's own fake, and a real S3 server."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from s3_server import s3_uri

from lfs_ray.errors import RunError
from lfs_ray.storage import TEMPORARY, Storage

KINDS = ("path", "file uri", "mock", "s3")


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        return Storage(s3_uri(request.getfixturevalue("s3_port"), bucket), retry_s=0)
    urls = {"path": str(tmp_path / "run"), "file uri": f"file://{tmp_path}/run"}
    # pyarrow's own fake: files in memory.
    return Storage(urls.get(request.param, "mock:///run"), retry_s=0)


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


def test_a_bucket_is_reopened_by_its_uri(s3_port: int, bucket: str) -> None:
    storage = Storage(s3_uri(s3_port, bucket), retry_s=3.0)
    storage.write("x", b"x")
    other = pickle.loads(pickle.dumps(storage))
    assert (other.read("x"), other.url, other.patience.limit_s) == (b"x", storage.url, 3.0)
    assert other.name == storage.name == "x"
    assert other.path("f/y") == s3_uri(s3_port, bucket, "runs/x/f/y")


@pytest.mark.parametrize("url", ["nope://bucket/run", "file://with space"])
def test_a_uri_that_cannot_be_opened_is_one_line(url: str) -> None:
    with pytest.raises(RunError) as caught:
        Storage(url)
    assert len(str(caught.value).splitlines()) == 1
    assert url in str(caught.value)
