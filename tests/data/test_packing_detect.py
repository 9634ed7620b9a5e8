from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_samples import write_lmdb
from recordio_writer import payload, write_records
from tar_writer import sample, write_tar

from lfs_ray.data import datum
from lfs_ray.data.packing.detect import KINDS, open_source
from lfs_ray.data.packing.file_names import expand, find_files, short_names
from lfs_ray.errors import DataError

IMAGES = [b"zero", b"one", b"two", b"three"]


def make_folder(root: Path) -> Path:
    for number, image in enumerate(IMAGES):
        (root / str(number // 2)).mkdir(exist_ok=True)
        (root / str(number // 2) / f"{number}.jpg").write_bytes(image)
    return root


def make_list(root: Path) -> Path:
    make_folder(root)
    rows = [f"{n // 2}/{n}.jpg {n // 2}\n" for n in range(len(IMAGES))]
    (root / "list.txt").write_text("".join(rows))
    return root / "list.txt"


def make_recordio(root: Path) -> Path:
    rows = {n: payload(float(n // 2), image) for n, image in enumerate(IMAGES)}
    write_records(root / "train.rec", rows)
    (root / "property").write_text("2,112,112")
    (root / "lfw.bin").write_bytes(b"")
    return root


def make_tars(root: Path) -> Path:
    for n, image in enumerate(IMAGES):
        write_tar(root / f"{n:03d}.tar", sample(f"{n}", image, n // 2))
    return root


def make_parquet(root: Path) -> Path:
    (root / "data").mkdir()
    table = pa.table({"image": IMAGES, "label": [0, 0, 1, 1]})
    pq.write_table(table, root / "data/train.parquet")
    (root / "README.md").write_text("about")
    return root


def make_lmdb(root: Path) -> Path:
    values = {f"{n}": datum.encode(image, 0) for n, image in enumerate(IMAGES)}
    write_lmdb(root / "data.mdb", values)
    rows = [f"{n} {n // 2}\n" for n in range(len(IMAGES))]
    (root / "list.txt").write_text("".join(rows))
    return root


MAKERS: dict[str, Callable[[Path], Path]] = {
    "folder": make_folder,
    "list": make_list,
    "recordio": make_recordio,
    "webdataset": make_tars,
    "parquet": make_parquet,
    "lmdb": make_lmdb,
}


def test_every_kind_has_a_maker() -> None:
    assert MAKERS.keys() == KINDS.keys()


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_kind_is_seen(tmp_path: Path, kind: str) -> None:
    place = MAKERS[kind](tmp_path)
    for source in (open_source(place), open_source(str(place), kind=kind)):
        assert source.facts["kind"] == kind
        assert str(tmp_path) not in str(source.facts)
        assert len(source) == 4
        records = source.read(0, 4)
        assert [record.image for record in records] == IMAGES
        assert [record.label for record in records] == [0, 0, 1, 1]
        assert list(source.class_names) == ["0", "1"]
        assert len({record.key for record in records}) == 4


def test_any_range(tmp_path: Path, kind: str) -> None:
    source = open_source(MAKERS[kind](tmp_path))
    whole = source.read(0, 4)
    for start in range(5):
        for stop in range(start, 5):
            assert source.read(start, stop) == whole[start:stop]


def test_fingerprint_is_of_names_sizes_and_times(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").mkdir()
    place = MAKERS[kind](tmp_path / "a")
    first = open_source(place).fingerprint
    assert int(first, 16) >= 0
    assert open_source(place).fingerprint == first
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = tmp_path / "b" / place.relative_to(tmp_path / "a")
    assert open_source(moved).fingerprint == first
    files = sorted(file for file in (tmp_path / "a").rglob("*") if file.is_file())
    used = [f for f in files if f.name not in ("property", "lfw.bin", "README.md")]
    for file in used:
        times = file.stat()
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
        changed = open_source(place).fingerprint
        assert changed != first, file
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert open_source(place).fingerprint == first


def test_a_size_and_a_name_change_the_fingerprint(tmp_path: Path) -> None:
    first = open_source(make_folder(tmp_path)).fingerprint
    file = tmp_path / "1/2.jpg"
    times = file.stat()
    file.rename(tmp_path / "1/20.jpg")
    assert open_source(tmp_path).fingerprint != first
    (tmp_path / "1/20.jpg").rename(file)
    file.write_bytes(b"longer")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert open_source(tmp_path).fingerprint != first


def test_files_by_themselves(tmp_path: Path) -> None:
    make_recordio(tmp_path)
    make_tars(tmp_path)
    make_parquet(tmp_path)
    make_lmdb(tmp_path)
    shutil.move(tmp_path / "data.mdb", tmp_path / "faces")
    places = {
        "train.rec": "recordio",
        "001.tar": "webdataset",
        "{000,001}.tar": "webdataset",
        "00*.tar": "webdataset",
        "data/*.parquet": "parquet",
        "faces": "lmdb",
    }
    for name, kind in places.items():
        assert open_source(tmp_path / name).facts["kind"] == kind
    with pytest.raises(DataError, match="files of one kind, it holds recordio and webdataset"):
        open_source(tmp_path)
    assert len(open_source(tmp_path, kind="webdataset")) == 4


def test_a_list_of_a_folder_and_of_an_lmdb(tmp_path: Path) -> None:
    make_list(tmp_path)
    (tmp_path / "short").write_text("1/3.jpg 0\n")
    listed = open_source(tmp_path, list_file=str(tmp_path / "short"))
    assert [record.image for record in listed.read(0, 1)] == [b"three"]
    (tmp_path / "db").mkdir()
    make_lmdb(tmp_path / "db")
    (tmp_path / "short").write_text("3 0\n")
    listed = open_source(tmp_path / "db", list_file=str(tmp_path / "short"))
    assert listed.facts["kind"] == "lmdb"
    assert len(listed) == 1


def test_compressed_shards_are_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "000.tar.gz").write_bytes(b"\x1f\x8b" + bytes(99))
    for place in (tmp_path, tmp_path / "000.tar.gz"):
        with pytest.raises(DataError, match="it is compressed by gzip"):
            open_source(place)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none must be a folder of images, .* nothing lies there"):
        open_source(tmp_path / "none")
    with pytest.raises(DataError, match=r'kind of source must be auto, folder, .* got "zip"'):
        open_source(tmp_path, kind="zip")
    with pytest.raises(DataError, match=r"must hold .rec files, it holds none"):
        open_source(tmp_path, kind="recordio")
    with pytest.raises(DataError, match="nothing lies there"):
        open_source(tmp_path / "none.rec", kind="recordio")


def test_patterns(tmp_path: Path) -> None:
    for name in ("a-08", "a-09", "a-10", "b-9", "b-10"):
        (tmp_path / name).touch()

    def names(pattern: str) -> list[str]:
        return [file.name for file in expand(tmp_path / pattern)]

    assert names("a-{08..10}") == ["a-08", "a-09", "a-10"]
    assert names("b-{9..10}") == ["b-9", "b-10"]
    assert names("{b,a}-10") == ["b-10", "a-10"]
    assert names("{b,a}-*") == ["b-10", "b-9", "a-08", "a-09", "a-10"]
    with pytest.raises(DataError, match=r"a-11 does not"):
        names("a-{10..11}")
    with pytest.raises(DataError, match="nothing matches"):
        names("c-*")
    (tmp_path / "{odd}").touch()
    assert find_files(tmp_path / "{odd}", [".rec"]) == [tmp_path / "{odd}"]


def test_short_names() -> None:
    assert short_names([Path("x/train.rec")]) == ["train"]
    assert short_names([Path("x/a/t.rec"), Path("x/b/t.rec")]) == ["a-t", "b-t"]
    assert short_names([Path("x/0.rec"), Path("x/1.rec")]) == ["0", "1"]
