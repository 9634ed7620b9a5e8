from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import encoded, pixels_of

from lfs_ray.data.decode import decode_image
from lfs_ray.data.pack import pack
from lfs_ray.data.packing.folder import read_image_file
from lfs_ray.data.shards import cut_shards
from lfs_ray.data.sources import open_faces
from lfs_ray.data.store import open_store
from lfs_ray.data.writer import Record, write_packed
from lfs_ray.errors import DataError


def text_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "data.lmdb"}


def test_folder_keeps_the_bytes(class_folders: Path, tmp_path: Path) -> None:
    manifest = pack(class_folders, tmp_path / "set")
    store = open_store(tmp_path / "set")
    for key in list(store.keys()):
        assert store.read(key) == (class_folders / key).read_bytes()
    assert (tmp_path / "set/list.txt").read_text().splitlines() == [
        "10/000.jpg 0",
        "10/001.jpg 0",
        "10/002.jpg 0",
        "2/000.jpg 1",
        "2/001.jpg 1",
        "b/000.jpg 2",
        "b/001.jpg 2",
        "b/002.jpg 2",
        "b/003.jpg 2",
    ]
    assert (tmp_path / "set/labels.tsv").read_text() == "10\t0\n2\t1\nb\t2\n"
    assert manifest == json.loads((tmp_path / "set/manifest.json").read_text())
    assert manifest["images"] == 9
    assert manifest["classes"] == 3
    assert manifest["images_per_class"] == {"min": 2, "max": 4}
    assert manifest["height_width_px"] == [16, 16]
    assert manifest["source"] == {"kind": "folder", "files_left_out": 0}
    assert manifest["changed"] is None
    assert manifest["format"] == "lfs-ray packed images 2"
    assert manifest["decoded_colour_order"] == "rgb"
    assert [(shard["first"], shard["images"]) for shard in manifest["shards"]] == [(0, 9)]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "data.lmdb",
        "index.npy",
        "labels.tsv",
        "list.txt",
        "manifest.json",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "set"]


def test_same_bytes_again_with_any_number_of_threads(class_folders: Path, tmp_path: Path) -> None:
    pack(class_folders, tmp_path / "one")
    pack(class_folders, tmp_path / "four", threads=4)
    assert text_files(tmp_path / "one") == text_files(tmp_path / "four")
    assert (tmp_path / "one/data.lmdb").read_bytes() == (tmp_path / "four/data.lmdb").read_bytes()
    assert str(tmp_path).encode() not in b"".join(text_files(tmp_path / "one").values())


def test_checksum_is_of_keys_labels_and_images(class_folders: Path, tmp_path: Path) -> None:
    sums = [pack(class_folders, tmp_path / "before")["checksum"]]
    blob = (class_folders / "b/000.jpg").read_bytes()
    (class_folders / "b/000.jpg").write_bytes(encoded(pixels_of(77)))
    sums.append(pack(class_folders, tmp_path / "image")["checksum"])
    (class_folders / "b/000.jpg").write_bytes(blob)
    (class_folders / "b/000.jpg").rename(class_folders / "b/0.jpg")
    sums.append(pack(class_folders, tmp_path / "key")["checksum"])
    (class_folders / "b/0.jpg").rename(class_folders / "b/000.jpg")
    sums.append(pack(class_folders, tmp_path / "again")["checksum"])
    assert len(set(sums)) == 3
    assert sums[0] == sums[-1]


def test_resize(class_folders: Path, tmp_path: Path) -> None:
    manifest = pack(class_folders, tmp_path / "set", size_px=8, quality=100)
    assert manifest["height_width_px"] == [8, 8]
    assert manifest["source"] == {"kind": "folder", "files_left_out": 0}
    assert manifest["changed"] == {"size_px": 8, "format": "jpeg", "quality": 100}
    small = open_store(tmp_path / "set").image("2/000.jpg").astype(int)
    large = decode_image((class_folders / "2/000.jpg").read_bytes()).astype(int)
    assert np.abs(small.mean((0, 1)) - large.mean((0, 1))).max() < 3


def test_what_is_no_image_is_left_out(class_folders: Path, tmp_path: Path) -> None:
    (class_folders / "README.txt").write_text("about")
    (class_folders / ".cache").mkdir()
    (class_folders / "2/.hidden.jpg").write_text("x")
    (class_folders / "2/notes.txt").write_text("x")
    (class_folders / "2/z.PNG").write_bytes(encoded(pixels_of(0, 20), "PNG"))
    manifest = pack(class_folders, tmp_path / "set")
    assert manifest["images"] == 10
    assert manifest["source"] == {"kind": "folder", "files_left_out": 1}
    assert manifest["height_width_px"] is None


def test_list_file(class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "beside image.jpg").write_bytes(encoded(pixels_of(50)))
    (tmp_path / "some.lst").write_text("b/001.jpg 1\nbeside image.jpg\t0\n\n2/000.jpg 1\n")
    pack(class_folders, tmp_path / "set", list_file=str(tmp_path / "some.lst"))
    faces = open_faces([str(tmp_path / "set")])
    assert list(faces.keys) == ["b/001.jpg", "beside image.jpg", "2/000.jpg"]
    assert faces.labels.tolist() == [1, 0, 1]
    assert (tmp_path / "set/labels.tsv").read_text() == "0\t0\n1\t1\n"
    (class_folders / "own.lst").write_text("b/001.jpg 0\n")
    assert pack(class_folders / "own.lst", tmp_path / "own")["images"] == 1


def broken(name: str, root: Path) -> None:
    match name:
        case "empty class":
            (root / "a").mkdir()
        case "text class":
            (root / "a").mkdir()
            (root / "a/x.txt").write_text("x")
        case "loose image":
            (root / "x.jpg").write_bytes(encoded(pixels_of(0)))
        case "nested":
            (root / "b/inner").mkdir()
        case "no image":
            (root / "b/x.jpg").write_text("text")
        case "newline":
            (root / "b/x\ny.jpg").write_bytes(encoded(pixels_of(0)))
        case "not utf-8":
            (root / "b" / b"x\xff.jpg".decode(errors="surrogateescape")).write_bytes(b"x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty class", "every class must have an image, folder .*/a has none"),
        ("text class", "every class must have an image, folder .*/a has none"),
        ("loose image", "one folder of images a class, the image x.jpg lies directly in it"),
        ("nested", "must hold images only, .*/b holds the folder inner"),
        ("no image", 'image "b/x.jpg": image of 4 bytes cannot be decoded'),
        ("newline", r"one line of text .* got 'b/x\\ny.jpg': rename the image"),
        ("not utf-8", r"must be UTF-8 text, got 'b/x\\udcff.jpg': rename the image"),
    ],
)
@pytest.mark.parametrize("size_px", [0, 8])
def test_bad_folders_leave_nothing(
    class_folders: Path, tmp_path: Path, name: str, message: str, size_px: int
) -> None:
    broken(name, class_folders)
    if size_px and name in ("no image", "not utf-8"):
        message = "cannot be decoded"
    with pytest.raises(DataError, match=message) as caught:
        pack(class_folders, tmp_path / "set", size_px=size_px)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2/000.jpg 0\nnobody.jpg 0", "line 2 must name an image file below .*nobody.jpg"),
        ("2/000.jpg 0\n2/001.jpg 2", "has no label 1 but label 2"),
        ("2/000.jpg 0\n2/001.jpg", "line 2 must be"),
        ("2/000.jpg 0\n2/001.jpg 1\n2/000.jpg 1", 'unique, "2/000.jpg" comes twice'),
        ("", "at least one image"),
    ],
)
def test_bad_lists_leave_nothing(
    class_folders: Path, tmp_path: Path, text: str, message: str
) -> None:
    (class_folders / "some.lst").write_text(text)
    with pytest.raises(DataError, match=message):
        pack(class_folders, tmp_path / "set", list_file=str(class_folders / "some.lst"))
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_set_is_no_class_of_its_source(class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(class_folders)
    for target in (class_folders / "set", tmp_path / "link/deep/set"):
        with pytest.raises(DataError, match=r"must lie outside its source, .*set is in"):
            pack(class_folders, target)
    pack(class_folders, tmp_path / "images-packed")
    pack(tmp_path / "images-packed", tmp_path / "images-packed/again")


def test_an_image_that_is_cut_off_is_found_wherever_it_is(
    class_folders: Path, tmp_path: Path
) -> None:
    """The sample that is decoded need not hold it."""
    for place in range(200):
        shutil.copy(class_folders / "b/001.jpg", class_folders / f"b/x{place:03d}.jpg")
    cut = class_folders / "b/x101.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.raises(DataError, match=r'"b/x101\.jpg": .*truncated.*: repair or remove it'):
        pack(class_folders, tmp_path / "set")


@pytest.mark.parametrize("size", [0, 1, 5_000, 16_383, 16_384, 16_385, 278_528, 600_000])
def test_an_image_file_is_read_whole(tmp_path: Path, size: int) -> None:
    file = tmp_path / "x.jpg"
    file.write_bytes(np.random.default_rng(0).bytes(size))
    assert read_image_file(file) == file.read_bytes()


def test_source_and_destination(class_folders: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing lies there"):
        pack(tmp_path / "nowhere", tmp_path / "set")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folder lies directly in it"):
        pack(tmp_path / "empty", tmp_path / "set")
    with pytest.raises(DataError, match=r"must be a new directory, .*empty exists"):
        pack(class_folders, tmp_path / "empty")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match="must be a new directory"):
        pack(class_folders, tmp_path / "dangling")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="file must be a writable directory"):
        pack(class_folders, tmp_path / "file/set")
    for options in ({"size_px": -1}, {"quality": 0}, {"quality": 101}, {"threads": -1}):
        with pytest.raises(DataError, match="packing needs"):
            pack(class_folders, tmp_path / "set", **options)
    pack(class_folders, tmp_path / "new/folders/set")


def damaged_png() -> bytes:
    """Head and end are right, what is between them is not."""
    whole = encoded(pixels_of(0, 64), "PNG")
    return whole[:60] + bytes(len(whole) - 80) + whole[-20:]


@pytest.mark.parametrize(
    ("record", "names", "message"),
    [
        (Record("", b"", 0), ["a"], "1 to 511 bytes"),
        (Record("\u00e9" * 256, b"", 0), ["a"], "1 to 511 bytes of UTF-8, .* has 512: rename"),
        (Record("a ", b"", 0), ["a"], "without a blank at its end, got 'a '"),
        (Record("a", b"", 1), ["a"], 'label of "a" must be 0 to 0, got 1'),
        (Record("a", b"", -1), ["a"], "got -1"),
        (Record("a", encoded(pixels_of(0)), 0), ["a", "b"], 'class "b" has none'),
        (Record("a", encoded(pixels_of(0, 64))[:-500], 0), ["a"], 'image "a": .* cannot be dec'),
        (Record("a", damaged_png(), 0), ["a"], 'image "a" in .* cannot be dec'),
    ],
)
def test_bad_records(tmp_path: Path, record: Record, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_packed(tmp_path / "set", [record], class_names=names, source={})
    assert not list(tmp_path.iterdir())


def test_no_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one class"):
        write_packed(tmp_path / "set", [], class_names=[], source={})


@pytest.mark.parametrize("places", [(0, 1), (3, 70), (10, 119), (41, 90)])
def test_a_key_that_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: tuple[int, int]
) -> None:
    """In one block, in one shard, and in different shards."""
    shards = partial(cut_shards, max_records=80)
    monkeypatch.setattr("lfs_ray.data.writer.cut_shards", shards)
    blob = encoded(pixels_of(0, 8), "PNG")
    records = [Record(f"{place}.png", blob, 0) for place in range(120)]
    records[places[1]] = records[places[0]]
    with pytest.raises(DataError, match=f'keys must be unique, "{places[0]}.png" comes twice'):
        write_packed(tmp_path / "set", records, class_names=["a"], source={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["\ufeffa", "\ufeff", "\ufeff\ufeffb c"])
def test_a_first_key_that_begins_with_a_byte_order_mark(tmp_path: Path, key: str) -> None:
    blob = encoded(pixels_of(0, 8), "PNG")
    records = [Record(key, blob, 0), Record("\ufeffsecond", blob, 0)]
    write_packed(tmp_path / "set", records, class_names=["a"], source={})
    faces = open_faces([str(tmp_path / "set")])
    assert list(faces.keys) == [key, "\ufeffsecond"]
    assert faces.check() == 0


@pytest.mark.parametrize("name", ["a\nb", "a\r", "\udcff"])
def test_class_names_are_lines(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"one line of UTF-8 text, got {re.escape(ascii(name))}"):
        write_packed(tmp_path / "set", [], class_names=["ok", name], source={})
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def records() -> Iterator[Record]:
        yield Record("a", encoded(pixels_of(0)), 0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_packed(tmp_path / "set", records(), class_names=["a"], source={})
    assert not list(tmp_path.iterdir())


def test_an_existing_set_is_refused_before_any_work(tmp_path: Path) -> None:
    def records() -> Iterator[Record]:
        pytest.fail("a record was asked for")
        yield

    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="must be a new directory"):
        write_packed(tmp_path / "set", records(), class_names=["a"], source={})
    with pytest.raises(DataError, match="must be a new directory"):
        pack(tmp_path / "source that is not looked at", tmp_path / "set")


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    def records() -> Iterator[Record]:
        yield Record("a", encoded(pixels_of(0)), 0)
        write_packed(tmp_path / "set", [first], class_names=["a"], source={})

    first = Record("b", encoded(pixels_of(1)), 0)
    with pytest.raises(DataError, match=r"must be a new directory, .*set exists"):
        write_packed(tmp_path / "set", records(), class_names=["a"], source={})
    assert list(open_store(tmp_path / "set").keys()) == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_full_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfs_ray.data.growing_lmdb._FIRST_MAP_BYTES", 1 << 16)
    records = [Record(str(i), encoded(pixels_of(i, 40), "PNG"), 0) for i in range(60)]
    write_packed(tmp_path / "set", records, class_names=["a"], source={})
    store = open_store(tmp_path / "set")
    assert (tmp_path / "set/data.lmdb").stat().st_size > 1 << 16
    assert all(store.read(record.key) == record.image for record in records)


# Whatever a file name may hold, and more: controls, combining marks, right to left, emoji.
KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r") | st.sampled_from("/. \t\ufeff\u0301"),
    min_size=1,
    max_size=12,
).filter(lambda key: key[-1] not in " \t\x0b\x0c")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(KEYS, st.integers(0, 2)), min_size=1, unique_by=lambda r: r[0]))
def test_any_records_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]]
) -> None:
    rows = [
        (key, rank) for key, label in rows for rank in [sorted({r[1] for r in rows}).index(label)]
    ]
    records = [
        Record(key, encoded(pixels_of(i, 8), "PNG"), label) for i, (key, label) in enumerate(rows)
    ]
    folder = tmp_path_factory.mktemp("any") / "set"
    names = [f"class {label}" for label in range(1 + max(label for _, label in rows))]
    write_packed(folder, records, class_names=names, source={})
    faces = open_faces([str(folder)])
    assert list(faces.keys) == [record.key for record in records]
    assert faces.labels.tolist() == [record.label for record in records]
    for i in range(len(records)):
        assert np.array_equal(faces.image(i), pixels_of(i, 8))
