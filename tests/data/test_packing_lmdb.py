from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from image_samples import encoded, pixels_of, write_lmdb
from PIL import Image

from lfs_ray.data import datum
from lfs_ray.data.datum_pb2 import Datum
from lfs_ray.data.pack import pack
from lfs_ray.data.packing.lmdb import LmdbSource
from lfs_ray.data.store import open_store
from lfs_ray.errors import DataError


def raw_value(pixels: np.ndarray, label: int) -> bytes:
    """Raw planes, blue first, as Caffe's tools write them."""
    planes = pixels[..., ::-1].transpose(2, 0, 1)
    channels, height, width = planes.shape
    return Datum(
        channels=channels, height=height, width=width, data=planes.tobytes(), label=label
    ).SerializeToString()


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Three images, labels 9 inside; in the list 5, 2, 5."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    values = {f"a/{n}": datum.encode(encoded(pixels_of(n)), 9) for n in range(3)}
    values["a/raw b"] = raw_value(pixels_of(7), 9)
    write_lmdb(folder / "data.mdb", values)
    (folder / "list.txt").write_text("a/2 5\r\na/raw b 2\r\na/0\t5\r\n")
    return folder


def test_labels_and_order_are_those_of_the_list(foreign: Path) -> None:
    source = LmdbSource(foreign, "")
    rows = [(r.key, source.class_names[r.label]) for r in source.read(0, 3)]
    assert rows == [("a/2", "5"), ("a/raw b", "2"), ("a/0", "5")]
    assert source.read(2, 3)[0].image == encoded(pixels_of(0))
    assert source.facts == {
        "kind": "lmdb",
        "files": ["data.mdb", "list.txt"],
        "keys_left_out": 1,
        "labels_renumbered": True,
    }


def test_raw_planes_become_png(foreign: Path) -> None:
    image = LmdbSource(foreign, "").read(1, 2)[0].image
    with Image.open(BytesIO(image)) as png:
        assert png.format == "PNG"
        assert np.array_equal(np.array(png), pixels_of(7))


def test_another_list_of_a_file(foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a/1 0\n")
    source = LmdbSource(foreign / "data.mdb", str(tmp_path / "short.txt"))
    assert [r.key for r in source.read(0, 1)] == ["a/1"]
    assert source.class_names == ["0"]


def test_a_packed_set_packed_again_is_the_same(packed: Path, tmp_path: Path) -> None:
    first = json.loads((packed / "manifest.json").read_text())
    second = pack(packed, tmp_path / "again")
    for name in ("list.txt", "labels.tsv"):
        assert (tmp_path / "again" / name).read_bytes() == (packed / name).read_bytes()
    assert second["checksum"] == first["checksum"]
    assert second["source"] == {
        "kind": "lmdb",
        "files": ["data.lmdb", "list.txt"],
        "keys_left_out": 0,
        "labels_renumbered": False,
        "packed_from": first["source"],
        "packed_checksum": first["checksum"],
    }
    assert LmdbSource(packed, "").class_names == ["10", "2", "b"]


def test_classes_that_are_left_keep_their_names(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("b/000.jpg 1\n10/000.jpg 0\n")
    assert LmdbSource(packed, str(tmp_path / "some.txt")).class_names == ["0", "1"]
    (tmp_path / "some.txt").write_text("b/000.jpg 2\n10/000.jpg 0\n")
    source = LmdbSource(packed, str(tmp_path / "some.txt"))
    assert source.class_names == ["10", "b"]
    assert [r.label for r in source.read(0, 2)] == [1, 0]


def test_a_cleaned_list_brings_its_names(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "clean.txt"
    path.write_text("b/000.jpg 1\n10/000.jpg 0\n")
    table = tmp_path / "clean.txt.labels.tsv"
    table.write_text("label\told_label\tname\n0\t0\t10\n1\t2\tname with\ttab\n")
    source = LmdbSource(packed, str(path))
    assert source.class_names == ["10", "name with\ttab"]
    table.write_text("label\told_label\tname\n0\t0\t10\n")
    with pytest.raises(DataError, match=r"clean.txt.labels.tsv must .*, label 1 has none"):
        LmdbSource(packed, str(path))
    table.write_text("label\told_label\tname\n0\t0\t10\n0\t2\tb\n")
    with pytest.raises(DataError, match=r"clean.txt.labels.tsv must .*, label 0 has two"):
        LmdbSource(packed, str(path))
    table.write_text("")
    with pytest.raises(DataError, match=r"clean.txt.labels.tsv must begin .*, got ''"):
        LmdbSource(packed, str(path))


def test_packing_a_foreign_set(foreign: Path, tmp_path: Path) -> None:
    pack(foreign, tmp_path / "set")
    assert (tmp_path / "set/labels.tsv").read_text() == "2\t0\n5\t1\n"
    store = open_store(tmp_path / "set")
    assert np.array_equal(store.image("a/raw b"), pixels_of(7))
    assert store.read("a/2") == encoded(pixels_of(2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list .*list.txt must name at least one image, it is empty"),
        (
            "a/0 0\na/9 1",
            'list.txt line 2 must name a key of the LMDB .*data.mdb, it has no "a/9"',
        ),
        ("a/0 0\na/1 1\na/0 1", '"a/0" comes twice in .*list.txt, in lines 1 and 3: remove one'),
        ("a/0 -1", "list.txt line 1 must have a label of 0 or more, got -1"),
        ("a/0 0\na/1", "line 2 must be"),
    ],
)
def test_bad_lists(foreign: Path, text: str, message: str) -> None:
    (foreign / "list.txt").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        LmdbSource(foreign, "")
    assert "\n" not in str(caught.value)


def test_bad_sets(foreign: Path, packed: Path, tmp_path: Path) -> None:
    (foreign / "list.txt").unlink()
    with pytest.raises(DataError, match=r"must come with a list .* .*list.txt is no file: give"):
        LmdbSource(foreign, "")
    with pytest.raises(DataError, match="must be an LMDB"):
        LmdbSource(tmp_path, "")
    (packed / "labels.tsv").write_text("10\t0\n2\t2\n")
    with pytest.raises(
        DataError, match=r"labels.tsv must have one name for each label .*, label 1 has none"
    ):
        LmdbSource(packed, "")
    (packed / "manifest.json").write_text("{")
    (packed / "labels.tsv").unlink()
    with pytest.raises(DataError, match=r"manifest.json must be a manifest"):
        LmdbSource(packed, "")


def test_a_message_that_is_none(foreign: Path) -> None:
    write_lmdb(foreign / "data.mdb", {"a/0": b"\xff\xff", "a/1": b""})
    (foreign / "list.txt").write_text("a/0 0\na/1 0\n")
    source = LmdbSource(foreign, "")
    with pytest.raises(
        DataError, match=r'record "a/0" of .*data.mdb: an LMDB value must be a Dat'
    ):
        source.read(0, 2)
    with pytest.raises(DataError, match=r'record "a/1" of .*data.mdb: a Datum message must hold'):
        source.read(1, 2)
