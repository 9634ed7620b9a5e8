from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from image_samples import encoded, pixels_of, write_lmdb

from lfs_ray.data import datum
from lfs_ray.data.datum_pb2 import Datum
from lfs_ray.data.decode import decode_image
from lfs_ray.data.environment import shared_environment
from lfs_ray.data.store import FolderStore, LmdbStore, NamedImages, open_store
from lfs_ray.errors import DataError

BLOB = encoded(pixels_of(1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    planes = pixels_of(5)[..., ::-1].transpose(2, 0, 1)
    raw = Datum(channels=3, height=16, width=16, data=planes.tobytes()).SerializeToString()
    values = {
        "a/1.jpg": datum.encode(BLOB, 0),
        "a b/\u00e9.jpg": datum.encode(BLOB, 1),
        "broken": datum.encode(b"not an image", 0),
        "raw": raw,
        "strange": b"\xff",
    }
    return write_lmdb(tmp_path / "data.lmdb", values)


def test_lmdb_by_file_and_by_directory(file: Path) -> None:
    for path in (file, file.parent):
        store = open_store(path)
        assert isinstance(store, LmdbStore)
        assert store.read("a/1.jpg") == BLOB
        assert store.read("a b/\u00e9.jpg") == BLOB
        assert list(store.keys()) == sorted(
            ["a/1.jpg", "a b/\u00e9.jpg", "broken", "raw", "strange"]
        )
        assert len(store) == 5
        assert np.array_equal(store.image("a/1.jpg", "bgr"), decode_image(BLOB, "bgr"))


def test_directory_that_lmdb_made(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "data.mdb", {"k": datum.encode(BLOB, 0)})
    assert open_store(tmp_path).read("k") == BLOB


def test_raw_planes(file: Path) -> None:
    store = LmdbStore(file)
    assert np.array_equal(store.image("raw"), pixels_of(5))
    assert np.array_equal(store.image("raw", "bgr"), pixels_of(5)[..., ::-1])
    with pytest.raises(DataError, match=r'record "raw" of .*raw planes'):
        store.read("raw")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nobody", 'key "nobody" must be in the LMDB .*data.lmdb, it is not'),
        ("x" * 600, "must be in the LMDB"),
        ("", 'key "" cannot be read from .*data.lmdb'),
        ("broken", 'image "broken" in .*data.lmdb: image of 12 bytes cannot be decoded'),
        ("strange", 'record "strange" of .*data.lmdb: an LMDB value must be a Datum'),
    ],
)
def test_lmdb_errors_name_key_and_file(file: Path, key: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        LmdbStore(file).image(key)


def test_missing_keys_in_their_order(file: Path) -> None:
    assert LmdbStore(file).missing(iter(["z", "raw", "", "b"])) == ["z", "", "b"]


def test_a_copy_is_a_path(file: Path) -> None:
    store = LmdbStore(file)
    store.read("a/1.jpg")
    sent = pickle.dumps(store)
    assert len(sent) < 300
    assert pickle.loads(sent).read("a/1.jpg") == BLOB


def test_stores_of_a_file_share_one_environment(file: Path) -> None:
    first = shared_environment(str(file))
    assert shared_environment(str(file)) is first
    assert LmdbStore(file).read("a/1.jpg") == LmdbStore(file.parent).read("a/1.jpg")


def test_a_file_made_again_is_read_again(file: Path) -> None:
    old = LmdbStore(file)
    assert "a/1.jpg" in list(old.keys())
    file.unlink()
    write_lmdb(file, {"new": datum.encode(BLOB, 0)})
    assert list(LmdbStore(file).keys()) == ["new"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own(file: Path) -> None:
    store, other = LmdbStore(file), LmdbStore(file)
    store.read("a/1.jpg")
    other.read("a/1.jpg")

    def child(connection: multiprocessing.connection.Connection) -> None:
        before = store._env
        connection.send((store.read("a/1.jpg"), other.read("a/1.jpg"), store._env is before))

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,))
    process.start()
    assert ours.poll(20)
    assert ours.recv() == (BLOB, BLOB, False)
    process.join()
    assert store.read("a/1.jpg") == BLOB


def test_threads_read_at_once(file: Path) -> None:
    store = LmdbStore(file)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(store.read, ["a/1.jpg"] * 400)) == {BLOB}


def test_a_cut_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    whole = write_lmdb(tmp_path / "whole", {str(i): bytes(3000) for i in range(50)})
    size = whole.stat().st_size
    (tmp_path / "cut").write_bytes(whole.read_bytes()[: size // 2])
    with pytest.raises(DataError, match=f"cut must have {size} bytes, it has {size // 2}"):
        open_store(tmp_path / "cut")


def test_no_lmdb(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text" * 9000)
    with pytest.raises(DataError, match="text must be an LMDB file"):
        open_store(tmp_path / "text")
    with pytest.raises(DataError, match="nothing lies there"):
        open_store(tmp_path / "nothing")
    with pytest.raises(DataError, match="must be an LMDB: a file, or a directory"):
        LmdbStore(tmp_path)
    with pytest.raises(DataError, match="must be a readable file"):
        shared_environment(str(tmp_path / "nothing"))


def test_folder(class_folders: Path) -> None:
    (class_folders / ".hidden").write_text("x")
    store = open_store(class_folders)
    assert isinstance(store, FolderStore)
    assert list(store.keys())[:3] == ["10/000.jpg", "10/001.jpg", "10/002.jpg"]
    assert len(list(store.keys())) == 9
    assert store.missing(iter(["2/000.jpg", "2/009.jpg"])) == ["2/009.jpg"]
    blob = (class_folders / "2/000.jpg").read_bytes()
    assert store.read("2/000.jpg") == blob
    assert np.array_equal(store.image("2/000.jpg", "bgr"), decode_image(blob, "bgr"))
    with pytest.raises(DataError, match=r'image "2/009.jpg" must be a file in .*images \(No such'):
        store.image("2/009.jpg")
    (class_folders / "2/001.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r'image "2/001.jpg" in .*: image of 1 bytes cannot be'):
        store.image("2/001.jpg")


def test_named_images_are_labelled_by_place(file: Path) -> None:
    images = NamedImages(LmdbStore(file), ["raw", "a/1.jpg"])
    assert images.labels.tolist() == [0, 1]
    assert np.array_equal(images.image(1), decode_image(BLOB))
