from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from image_samples import encoded, pixels_of, write_lmdb

from lfs_ray.data import datum
from lfs_ray.data.decode import decode_image
from lfs_ray.data.sources import FaceSet, Source, open_faces
from lfs_ray.data.writer import Record, write_packed
from lfs_ray.errors import DataError


def packed_classes(folder: Path, counts: list[int], first_number: int) -> str:
    """A packed set with counts[c] images of class c; the keys are those of every other set."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    records = [
        Record(f"{label}/{i}.png", encoded(pixels_of(first_number + i, 8), "PNG"), label)
        for i, label in enumerate(labels)
    ]
    write_packed(folder, records, class_names=[str(c) for c in range(len(counts))], source={})
    return str(folder)


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """The example of joined labels: classes 0-2, 0-4 and 0-1."""
    return [
        packed_classes(tmp_path / "a", [1, 2, 1], 0),
        packed_classes(tmp_path / "b", [1, 1, 3, 1, 1], 10),
        packed_classes(tmp_path / "c", [2, 1], 20),
    ]


def test_labels_of_later_sources_follow(three: list[str]) -> None:
    faces = open_faces(three)
    assert faces.table == (
        Source(three[0], 0, 3, 4),
        Source(three[1], 3, 5, 7),
        Source(three[2], 8, 2, 3),
    )
    assert faces.num_classes == 10
    assert len(faces) == 14
    assert faces.labels.tolist() == [0, 1, 1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 8, 9]
    assert faces.labels.dtype == np.int64
    numbers = [0, 1, 2, 3, *range(10, 17), 20, 21, 22]
    for i, number in enumerate(numbers):
        assert np.array_equal(faces.image(i), pixels_of(number, 8))
    assert faces.keys[4] == "0/0.png"
    assert faces.name(4) == f"0/0.png of {three[1]}"
    assert np.array_equal(faces.image(4, "bgr"), pixels_of(10, 8)[..., ::-1])


def test_order_of_sources_decides(three: list[str]) -> None:
    assert open_faces(three[::-1]).labels.tolist() == [0, 0, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 9]


def test_select_relabels(three: list[str]) -> None:
    faces = open_faces(three)
    some = faces.select(np.array([8, 1, 5]))
    assert some.num_classes == 3
    assert some.labels.tolist() == [1, 1, 2, 2, 2, 0, 0]
    assert np.array_equal(some.image(5), pixels_of(20, 8))
    assert list(some.keys) == ["1/1.png", "1/2.png", "2/2.png", "2/3.png", "2/4.png", "0/0.png",
                               "0/1.png"]  # fmt: skip
    again = some.select(np.array([0]))
    assert [again.name(i) for i in range(2)] == [f"0/{i}.png of {three[2]}" for i in range(2)]
    assert again.check() == 0


@pytest.mark.parametrize("classes", [[10], [-1], [1, 1]])
def test_impossible_selection(three: list[str], classes: list[int]) -> None:
    with pytest.raises(DataError, match="must be different labels of 0 to 9"):
        open_faces(three).select(np.array(classes))


def test_digest_is_of_keys_and_labels(three: list[str], tmp_path: Path) -> None:
    faces = open_faces(three)
    other_images = [three[0], packed_classes(tmp_path / "d", [1, 1, 3, 1, 1], 50), three[2]]
    assert open_faces(other_images).digest() == faces.digest()
    everything = np.arange(10)
    assert faces.select(everything).digest() == faces.digest()
    digests = {
        faces.digest(),
        open_faces(three[:2]).digest(),
        open_faces(three[::-1]).digest(),
        faces.select(everything[::-1].copy()).digest(),
        faces.select(everything[:9]).digest(),
    }
    assert len(digests) == 5


def test_another_process_gets_paths(three: list[str]) -> None:
    faces = open_faces(three)
    faces.image(0)
    copy: FaceSet = pickle.loads(pickle.dumps(faces))
    assert copy.digest() == faces.digest()
    assert np.array_equal(copy.image(13), pixels_of(22, 8))


def test_foreign_lmdb_with_its_list(tmp_path: Path) -> None:
    blob = encoded(pixels_of(1))
    write_lmdb(tmp_path / "data.mdb", {"x y": datum.encode(blob, 9), "z": datum.encode(blob, 9)})
    (tmp_path / "list.txt").write_text("x y 0\n")
    (tmp_path / "other.txt").write_text("z 1\nx y 0\nz 1\n")
    inside = open_faces([str(tmp_path)])
    given = open_faces([str(tmp_path)], [str(tmp_path / "other.txt")])
    both = open_faces(
        [str(tmp_path / "data.mdb"), str(tmp_path)], [str(tmp_path / "other.txt"), ""]
    )
    assert (inside.num_classes, given.num_classes, both.num_classes) == (1, 2, 3)
    assert given.labels.tolist() == [1, 0, 1]
    assert np.array_equal(both.image(3), decode_image(blob))


def test_missing_keys_are_found_before_training(tmp_path: Path) -> None:
    blob = datum.encode(encoded(pixels_of(1)), 0)
    write_lmdb(tmp_path / "data.lmdb", {f"k{i}": blob for i in range(300)})
    (tmp_path / "list.txt").write_text("".join(f"k{i} 0\n" for i in (*range(300), 777, 778)))
    faces = open_faces([str(tmp_path)])
    message = r'all keys must be in the LMDB .*data.lmdb, 2 are not, the first is "k777"'
    with pytest.raises(DataError, match=message):
        faces.check(sample=1)
    with pytest.raises(DataError, match='key "k777" must be in the LMDB'):
        faces.image(300)


def test_undecodable_images_are_counted(tmp_path: Path) -> None:
    values = {f"k{i}": datum.encode(encoded(pixels_of(i)), 0) for i in range(10)}
    values |= {"k3": datum.encode(b"broken", 0), "k5": datum.encode(b"broken", 0)}
    write_lmdb(tmp_path / "data.lmdb", values)
    (tmp_path / "list.txt").write_text("".join(f"k{i} 0\n" for i in range(10)))
    faces = open_faces([str(tmp_path)])
    assert faces.check(max_bad_images=2) == 2
    assert faces.check(sample=2) == 0
    with pytest.raises(DataError, match='image "k5" in'):
        faces.check(max_bad_images=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list.txt must name at least one image, it is empty"),
        ("k 0\nk 2\n", "list.txt has no label 1"),
        ("k 0\nk -1\n", "list.txt line 2 has label -1"),
        ("k\n", 'list.txt line 1 must be "key label"'),
        (None, "must hold list.txt, or its list must be given"),
    ],
)
def test_bad_lists(tmp_path: Path, text: str | None, message: str) -> None:
    write_lmdb(tmp_path / "data.lmdb", {"k": b"x"})
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        open_faces([str(tmp_path)])


def test_bad_sources(tmp_path: Path, packed: Path) -> None:
    with pytest.raises(DataError, match="at least one source"):
        open_faces([])
    with pytest.raises(DataError, match="one for each of the 1 sources, got 2"):
        open_faces([str(packed)], ["", ""])
    with pytest.raises(DataError, match="nowhere must exist, it does not: pack"):
        open_faces([str(tmp_path / "nowhere")])
    with pytest.raises(DataError, match="must be an LMDB: a file, or a directory"):
        open_faces([str(tmp_path)])
    (packed / "data.lmdb").write_bytes(b"no lmdb" * 2000)
    with pytest.raises(DataError, match="must be an LMDB file this user can read"):
        open_faces([str(packed)])


def test_sets_of_format_1_open(packed: Path) -> None:
    """As they were written before there were an index and shards."""
    whole = open_faces([str(packed)])
    manifest = json.loads((packed / "manifest.json").read_text())
    for name in ("changed", "list_sha256", "shards"):
        del manifest[name]
    manifest["format"] = "lfs-ray packed images 1"
    (packed / "manifest.json").write_text(json.dumps(manifest))
    (packed / "index.npy").unlink()
    old = open_faces([str(packed)])
    assert list(old.keys) == list(whole.keys)
    assert old.digest() == whole.digest()
    assert np.array_equal(old.image(8), whole.image(8))


def test_an_unknown_format_is_refused(packed: Path) -> None:
    manifest = json.loads((packed / "manifest.json").read_text())
    (packed / "manifest.json").write_text(json.dumps(manifest | {"format": "lfs-ray 9"}))
    with pytest.raises(DataError, match=r"must be a manifest of format .* got 'lfs-ray 9'"):
        open_faces([str(packed)])


def test_the_index_of_a_packed_set_is_used(packed: Path) -> None:
    expected = open_faces([str(packed)]).labels.tolist()
    table = np.load(packed / "index.npy")
    table[2] = table[2, ::-1]
    np.save(packed / "index.npy", table)
    assert open_faces([str(packed)]).labels.tolist() == expected[::-1]
    list_file = packed / "list.txt"
    list_file.write_text("\n" + list_file.read_text())  # another list now: its own labels count
    assert open_faces([str(packed)]).labels.tolist() == expected


def test_keys_and_people_of_a_selection(three: list[str]) -> None:
    faces = open_faces(three)
    some = faces.select(np.array([8, 1]))
    assert some.people() == {"0", "1"}
    assert faces.people() == {"0", "1", "2", "3", "4"}
    assert some.keys[1:3] == ["1/2.png", "0/0.png"]
    assert some.keys[-1] == "0/1.png"
    assert "1/1.png" in some.keys
    with pytest.raises(IndexError):
        faces.keys[14]
    assert some.rows is not None
    assert some.rows.dtype == np.int32


def test_people_are_named_by_the_first_image_of_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = encoded(pixels_of(0, 8), "PNG")
    keys = ["a/0", "b/0", "c/1", "d/1", "e/0", "no folder", "f/2"]
    labels = [1, 0, 1, 0, 1, 2, 2]
    rows = [Record(*row) for row in zip(keys, [blob] * 7, labels, strict=True)]
    write_packed(tmp_path / "set", rows, class_names=["0", "1", "2"], source={})
    for at_once in (1, 2, 3, 100):
        monkeypatch.setattr("lfs_ray.data.face_set._AT_ONCE", at_once)
        faces = open_faces([str(tmp_path / "set")])
        assert faces.people() == {"a", "b"}
        assert faces.select(np.array([2, 1])).people() == {"a"}


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_parts_of_a_set_make_the_whole(
    three: list[str], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    whole = open_faces(three)
    some = whole.select(np.array([8, 1, 5]))
    expected = [whole.digest(), some.digest(), some.labels.tolist(), list(some.keys)]
    monkeypatch.setattr("lfs_ray.data.face_set._AT_ONCE", at_once)
    monkeypatch.setattr("lfs_ray.data.key_index._AT_ONCE", at_once)
    again = whole.select(np.array([8, 1, 5]))
    assert [whole.digest(), again.digest(), again.labels.tolist(), list(again.keys)] == expected
    assert whole.check() == again.check() == 0


def test_images_as_they_are_stored(three: list[str]) -> None:
    some = open_faces(three).select(np.array([8, 1, 5]))
    order = np.array([5, 0, 6, 2])
    with some.encoded(order) as found:
        blobs = [bytes(blob) for blob in found if blob is not None]
    expected = [encoded(pixels_of(number, 8), "PNG") for number in (20, 1, 21, 12)]
    assert blobs == expected


@pytest.mark.parametrize("content", ["{}", "[]", "no json", json.dumps({"images": 8})])
def test_a_list_that_its_manifest_does_not_count(packed: Path, content: str) -> None:
    (packed / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest.json must (count the 9 images|be a manifest)"):
        open_faces([str(packed)])
    assert len(open_faces([str(packed)], [str(packed / "list.txt")])) == 9
