from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_samples import pixels_of
from memory_source import MemorySource, memory_source, some_records

from lfs_ray.data.image_changes import ImageChanges
from lfs_ray.data.joined_source import JoinedSource, names_of
from lfs_ray.data.pack import pack, pack_source
from lfs_ray.data.pairs import person_of
from lfs_ray.data.sources import open_faces
from lfs_ray.errors import DataError

SIZES = {"a": (4, 3), "b": (7, 5), "c": (3, 2)}


def joined() -> JoinedSource:
    """The example of joined labels: classes 0-2, 0-4 and 0-1."""
    return JoinedSource({name: memory_source(*size) for name, size in SIZES.items()})


def test_labels_and_keys() -> None:
    source = joined()
    records = source.read(0, len(source))
    assert [record.label for record in records] == [
        *(0, 1, 2, 0),
        *(3, 4, 5, 6, 7, 3, 4),
        *(8, 9, 8),
    ]
    assert records[0].key == "a/p0/0000.png"
    assert records[4].key == "b/p0/0000.png"
    assert records[4].image == records[0].image
    assert source.class_names == [
        f"{name}/person {label}" for name, size in SIZES.items() for label in range(size[1])
    ]
    assert source.facts["kind"] == "joined"
    table = source.facts["sources"]
    assert isinstance(table, list)
    assert [(row["name"], row["offset"], row["classes"], row["images"]) for row in table] == [
        ("a", 0, 3, 4),
        ("b", 3, 5, 7),
        ("c", 8, 2, 3),
    ]
    assert table[0]["kind"] == "memory"


def test_a_source_is_no_person() -> None:
    bare = [record._replace(key=f"{place:08d}") for place, record in enumerate(some_records(3))]
    sources = {"records": MemorySource(bare, ["1"] * 7), "folders": memory_source(2)}
    keys = [record.key for record in JoinedSource(sources).read(0, 5)]
    assert keys[:3] == ["records:00000000", "records:00000001", "records:00000002"]
    assert [person_of(key) for key in keys] == ["", "", "", "p0", "p1"]


@given(st.integers(0, 14), st.integers(0, 14))
def test_any_range(start: int, stop: int) -> None:
    source = joined()
    start, stop = min(start, stop), max(start, stop)
    assert source.read(start, stop) == source.read(0, 14)[start:stop]


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(DataError, match="a source to pack must hold images, b holds none"):
        JoinedSource({"a": memory_source(4), "b": MemorySource([], ["nobody"])})


def test_fingerprint_is_of_all_in_their_order() -> None:
    prints = set()
    for order in (("f0", "f1"), ("f1", "f0"), ("f0", "f0"), ("f0f1", "")):
        sources = {
            str(place): MemorySource(some_records(3), ["p"] * 7, name)
            for place, name in enumerate(order)
        }
        prints.add(JoinedSource(sources).fingerprint)
    assert len(prints) == 4


def test_packed_as_one(tmp_path: Path) -> None:
    manifest = pack_source(joined(), tmp_path / "set", ImageChanges())
    assert manifest["source"] == {"kind": "joined", "sources": joined().facts["sources"]}
    faces = open_faces([str(tmp_path / "set")])
    assert faces.num_classes == 10
    assert faces.keys[11] == "c/p0/0000.png"
    assert np.array_equal(faces.image(13), pixels_of(2, 8))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/a", "b/", "c"], ["a", "b", "c"]),
        (["x/train", "y/train", "z/train/"], ["train", "train-2", "train-3"]),
        (["a-2", "a", "a"], ["a-2", "a", "a-3"]),
        (["/", "x"], ["source", "x"]),
    ],
)
def test_names(paths: list[str], names: list[str]) -> None:
    assert names_of(paths) == names


def test_folders_joined(class_folders: Path, tmp_path: Path) -> None:
    other = tmp_path / "more/images"
    other.parent.mkdir()
    other.symlink_to(class_folders)
    manifest = pack([class_folders, other], tmp_path / "set")
    assert manifest["images"] == 18
    faces = open_faces([str(tmp_path / "set")])
    assert faces.labels.tolist() == [0] * 3 + [1] * 2 + [2] * 4 + [3] * 3 + [4] * 2 + [5] * 4
    assert (faces.keys[0], faces.keys[9]) == ("images/10/000.jpg", "images-2/10/000.jpg")
    assert faces.people() == {"10", "2", "b"}
    assert faces.stores[0].read("images-2/b/001.jpg") == (class_folders / "b/001.jpg").read_bytes()
    with pytest.raises(DataError, match="a list goes with one source of images, got 2"):
        pack([class_folders, other], tmp_path / "no", list_file="some.lst")
    with pytest.raises(DataError, match="at least one source"):
        pack([], tmp_path / "no")
