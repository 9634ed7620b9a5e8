from __future__ import annotations

import struct
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import encoded, pixels_of
from recordio_writer import MAGIC, classic, frame, payload, write_index, write_records

from lfs_ray.data.pack import pack
from lfs_ray.data.packing import record_frames, record_labels
from lfs_ray.data.packing.recordio import RecordIOSource
from lfs_ray.data.packing.source import Record
from lfs_ray.data.store import open_store
from lfs_ray.errors import DataError

GOLDEN_IMAGE = bytes.fromhex(
    "0a23d7ce 1d000000 00000000 00004040 0100000000000000 0000000000000000 ffd8616263 000000"
)
GOLDEN_HEADER = bytes.fromhex(
    "0a23d7ce 20000000 02000000 00000000 0000000000000000 0000000000000000 0000a040 0000e040"
)
GOLDEN_CUT = bytes.fromhex("0a23d7ce 04000020 41424344 0a23d7ce 04000060 45464748")
IMAGES = [[b"\xff\xd8one", b"two"], [b"three!"], [b"4", b"five5", b"six"]]


def records(source: RecordIOSource) -> list[Record]:
    return source.read(0, len(source))


def content(source: RecordIOSource) -> list[tuple[str, bytes, str]]:
    return [(r.key, r.image, source.class_names[r.label]) for r in records(source)]


def test_golden_bytes(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    path.write_bytes(GOLDEN_IMAGE)
    assert content(RecordIOSource(path)) == [("00000000", b"\xff\xd8abc", "3")]
    assert frame(payload(3.0, b"\xff\xd8abc", 1)) == GOLDEN_IMAGE
    assert frame(payload((5, 7))) == GOLDEN_HEADER
    assert frame(b"ABCD" + MAGIC + b"EFGH") == GOLDEN_CUT
    assert record_frames.payload_of(GOLDEN_CUT) == b"ABCD" + MAGIC + b"EFGH"


def test_classic_set(tmp_path: Path) -> None:
    write_records(tmp_path / "train.rec", classic(IMAGES))
    (tmp_path / "property").write_text("3,112,96\nmore lines\n")
    source = RecordIOSource(tmp_path)
    assert content(source) == [
        ("00000001", b"\xff\xd8one", "0"),
        ("00000002", b"two", "0"),
        ("00000003", b"three!", "1"),
        ("00000004", b"4", "2"),
        ("00000005", b"five5", "2"),
        ("00000006", b"six", "2"),
    ]
    assert source.facts == {
        "kind": "recordio",
        "files": ["train.rec"],
        "read_by_index": True,
        "header_and_identity_records": 4,
        "labels_per_image": 1,
        "labels_renumbered": False,
        "property_classes": 3,
        "property_height_width_px": [112, 96],
    }


@pytest.mark.parametrize("indexed", [True, False])
def test_without_header_all_keys_are_images(tmp_path: Path, indexed: bool) -> None:
    blobs = {key: payload(float(key % 2), b"%d" % key, key) for key in (0, 1, 2)}
    write_records(tmp_path / "a.rec", blobs, indexed=indexed)
    source = RecordIOSource(tmp_path / "a.rec")
    expected = [(f"{key:08d}", b"%d" % key, str(key % 2)) for key in (0, 1, 2)]
    assert content(source) == expected
    del blobs[0]
    write_records(tmp_path / "b.rec", blobs)
    assert content(RecordIOSource(tmp_path / "b.rec")) == expected[1:]


def test_record_0_with_labels_and_an_image_is_an_image(tmp_path: Path) -> None:
    write_records(
        tmp_path / "a.rec", {0: payload((1, 5, 9.5), b"zero"), 1: payload((0.0,), b"one")}
    )
    source = RecordIOSource(tmp_path / "a.rec")
    assert content(source) == [("00000000", b"zero", "1"), ("00000001", b"one", "0")]
    assert source.facts["labels_per_image"] == 3


def test_without_index_the_file_is_read_through(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", classic(IMAGES), indexed=False)
    source = RecordIOSource(tmp_path / "a.rec")
    assert [r.image for r in records(source)] == [*chain(*IMAGES)]
    assert [r.key for r in records(source)] == [f"{key:08d}" for key in range(1, 7)]
    assert source.facts["read_by_index"] is False


def test_shuffled_file_comes_in_the_order_of_keys(tmp_path: Path) -> None:
    keys = [40, 7, 100000000, 3]
    write_records(tmp_path / "a.rec", {key: payload(0.0, b"%d" % key) for key in keys})
    found = content(RecordIOSource(tmp_path / "a.rec"))
    assert [image for _, image, _ in found] == [b"3", b"7", b"40", b"100000000"]
    names = [name for name, _, _ in found]
    assert names == sorted(names)
    assert names[0] == "000000003"


def test_several_files(tmp_path: Path) -> None:
    write_records(tmp_path / "part_1.rec", {5: payload(4.0, b"b"), 6: payload(2.0, b"c")})
    write_records(tmp_path / "part_0.rec", {9: payload(2.0, b"a")})
    source = RecordIOSource(tmp_path)
    expected = [("00000009", b"a", "2"), ("00000005", b"b", "4"), ("00000006", b"c", "2")]
    assert content(source) == expected
    assert source.facts["labels_renumbered"] is True
    assert [r.label for r in source.read(1, 3)] == [1, 0]
    write_records(tmp_path / "part_2.rec", {5: payload(2.0, b"d")})
    assert [key for key, *_ in content(RecordIOSource(tmp_path))] == [
        "part_0-00000009",
        "part_1-00000005",
        "part_1-00000006",
        "part_2-00000005",
    ]


PIECES = st.lists(st.sampled_from([MAGIC, b"abcd", b"x", b"\0", MAGIC[:3]]), max_size=9)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.integers(0, 300),
        st.tuples(
            st.one_of(st.integers(0, 9), st.lists(st.integers(0, 9), min_size=1, max_size=3)),
            PIECES.map(b"".join).map(lambda tail: b"i" + tail),
        ),
        min_size=1,
    ),
    st.booleans(),
    st.integers(0, 40),
)
def test_what_is_written_is_read(
    tmp_path: Path,
    rows: dict[int, tuple[int | list[int], bytes]],
    indexed: bool,
    start: int,
) -> None:
    """Labels and images with the magic anywhere, also in the header itself."""
    path = tmp_path / "a.rec"
    path.with_suffix(".idx").unlink(missing_ok=True)
    write_records(
        path,
        {key: payload(labels, image, 0xCED7230A) for key, (labels, image) in rows.items()},
        indexed=indexed,
    )
    source = RecordIOSource(path)
    keys = sorted(rows) if indexed else list(rows)
    firsts = {key: row[0][0] if isinstance(row[0], list) else row[0] for key, row in rows.items()}
    names = keys if indexed else range(len(keys))
    expected = [
        (f"{name:08d}", rows[key][1], str(firsts[key]))
        for name, key in zip(names, keys, strict=True)
    ]
    assert content(source) == expected
    assert source.class_names == [str(label) for label in sorted(set(firsts.values()))]
    assert source.read(start, len(source)) == records(source)[start:]


def test_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_frames, "_AT_ONCE", 2)
    monkeypatch.setattr(record_labels, "_AT_ONCE", 2)
    write_records(tmp_path / "a.rec", classic(IMAGES))
    assert [r.image for r in records(RecordIOSource(tmp_path))] == [*chain(*IMAGES)]


def test_packed_set_is_identical(tmp_path: Path) -> None:
    blobs = [[encoded(pixels_of(3 * a + b)) for b in range(3)] for a in range(2)]
    write_records(tmp_path / "train.rec", classic(blobs))
    manifest = pack(tmp_path / "train.rec", tmp_path / "set")
    store = open_store(tmp_path / "set")
    assert [store.read(f"{key:08d}") for key in range(1, 7)] == [*chain(*blobs)]
    assert manifest["images"] == 6


def broken(case: str, path: Path) -> None:
    """A classic set of a header, images at 40, 76 and 112, identities, with one fault."""
    rows = classic([[b"1234", b"1234"], [b"1234"]])
    offsets = write_records(path, rows)
    data = path.read_bytes()
    match case:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_bytes(b"not a record file")
        case "cut in a record":
            path.write_bytes(data[: offsets[5] + 20])
        case "cut in a head":
            path.write_bytes(data[: offsets[3] + 4])
        case "cut between records":
            path.write_bytes(data[: offsets[4]])
        case "magic":
            path.write_bytes(data[: offsets[2]] + b"\0" + data[offsets[2] + 1 :])
        case "past the end":
            write_index(path, {**offsets, 5: 4000})
        case "no frame":
            write_index(path, {**offsets, 2: offsets[2] + 4})
        case "odd byte":
            write_index(path, {**offsets, 2: offsets[2] + 2})
        case "inside":
            write_records(
                path, {0: payload(0.0, b"i"), 1: payload(0.0, b"abcd" + MAGIC + b"efgh")}
            )
            write_index(path, {0: 0, 1: 36 + 36})
        case "index too short":
            write_index(path, {key: offsets[key] for key in (0, 1, 2, 3, 4)})
        case "index with a hole":
            write_index(path, {key: offsets[key] for key in (0, 1, 3, 4, 5)})
        case "two keys, one record":
            write_index(path, {**offsets, 6: offsets[5]})
        case "key twice":
            with path.with_suffix(".idx").open("a") as file:
                file.write("2\t40\n")
        case "index is empty":
            write_index(path, {})
        case "index is text":
            path.with_suffix(".idx").write_text("0\t0\n1 word\n")
        case "index of huge numbers":
            path.with_suffix(".idx").write_text(f"0\t{10**30}\n")
        case "header":
            write_records(path, {**rows, 0: payload((3, 6))})
        case "header's end":
            write_records(path, {**rows, 0: payload((4, 7))})
        case "identity range":
            write_records(path, {**rows, 5: payload((3, 5))})
        case "identity from 0":
            write_records(path, {**rows, 4: payload((0, 3))})
        case "image among identities":
            write_records(path, {**rows, 5: payload(1.0, b"image")})
        case "negative":
            write_records(path, {**rows, 2: payload(-1.0, b"1234")})
        case "fraction":
            write_records(path, {**rows, 2: payload(0.5, b"1234")})
        case "nan":
            write_records(path, {**rows, 2: payload((float("nan"), 1), b"1234")})
        case "no image":
            write_records(path, {**rows, 2: payload(1.0)})
        case "only identities":
            write_records(path, {0: payload((1, 2)), 1: payload((1, 1))})
        case "short payload":
            write_records(path, {**rows, 2: b"short"})
        case "more labels than payload":
            write_records(path, {**rows, 2: struct.pack("<IfQQ", 9, 0, 0, 0) + b"1234"})
        case "short payload in parts":
            write_records(path, {**rows, 2: b"abcd" + MAGIC + b"efgh"})
        case "property":
            (path.parent / "property").write_text("three")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("empty", "a.rec must hold a record, it has 0 bytes"),
        (
            "text",
            "a.rec must be a RecordIO file, it begins with 0x20746f6e in place of 0xced7230a",
        ),
        ("cut in a record", "a.rec key 5 at byte 188 is cut off, the file ends after 208 bytes"),
        ("cut in a head", "a.rec key 3 at byte 112 is past the end of the file, which has 116"),
        ("cut between records", "a.rec key 4 at byte 148 is past the end of the file, .* 148 byt"),
        ("magic", "a.rec key 2 at byte 76 is no record .wrong magic."),
        ("past the end", "a.rec key 5 at byte 4000 is past the end of the file, which has 228"),
        ("no frame", "a.rec key 2 at byte 80 is no record .wrong magic.: take the .idx that bel"),
        ("odd byte", "a.rec key 2 at byte 78 is no record, records begin at multiples of 4"),
        ("inside", "a.rec key 1 at byte 72 is inside a record, not at its start"),
        ("index too short", "a.idx must name every record of a.rec, it names none at byte 188"),
        ("index with a hole", "a.idx must name every record of a.rec, it names none at byte 76"),
        ("two keys, one record", "a.rec key 6 at byte 188 is within the record before it"),
        ("key twice", "keys must be unique, .*a.idx has key 2 at bytes 76 and 40"),
        ("index is empty", "a.idx must name records by .* lines, it names none"),
        ("index is text", "a.idx line 2 must be \"key<TAB>byte\", got '1 word'"),
        ("index of huge numbers", r"a.idx line 1 must be \"key<TAB>byte\", got '0.t1000"),
        ("header", "key 0 at byte 0 says that identity records are keys 3 to 5, the .idx has 2, "),
        ("header's end", "key 0 at byte 0 says that identity records are keys 4 to 6"),
        ("identity range", "key 5 at byte 188 says that its images are keys 3 to 4, the .idx has"),
        ("identity from 0", "key 4 at byte 148 says that its images are keys 0 to 2"),
        ("image among identities", "key 0 at byte 0 says that identity records are keys 4 to 5, "),
        ("negative", "key 2 at byte 76 must have a whole label of 0 or more, got -1"),
        ("fraction", "key 2 at byte 76 must have a whole label of 0 or more, got 0.5"),
        ("nan", "key 2 at byte 76 must have a whole label of 0 or more, got nan"),
        ("no image", "key 2 at byte 76 must hold an image, it is empty"),
        ("only identities", "a.rec must hold an image, it holds none"),
        ("short payload", "key 2 at byte 76 must hold a head, it is too short"),
        ("more labels than payload", "key 2 at byte 76 must hold a head, it is too short"),
        ("short payload in parts", "key 2 at byte 76 must hold a head, it is too short"),
        ("property", "property must begin \"classes,height,width\", got 'three'"),
    ],
)
def test_damage_is_one_line(tmp_path: Path, case: str, message: str) -> None:
    path = tmp_path / "a.rec"
    broken(case, path)
    with pytest.raises(DataError, match=message) as caught:
        RecordIOSource(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("cut in a record", "a.rec key 5 at byte 188 is cut off, the file ends after 208 bytes"),
        ("cut in a head", "a.rec is cut off in the head at byte 112"),
        ("magic", "a.rec must have a record at byte 76, none begins there"),
    ],
)
def test_damage_without_index(tmp_path: Path, case: str, message: str) -> None:
    path = tmp_path / "a.rec"
    broken(case, path)
    path.with_suffix(".idx").unlink()
    with pytest.raises(DataError, match=message):
        RecordIOSource(path)


def test_parts_that_never_end(tmp_path: Path) -> None:
    data = frame(payload(0.0, b"abcd" + MAGIC + b"efgh"))
    path = tmp_path / "a.rec"
    path.write_bytes(data[:-12])
    with pytest.raises(DataError, match=r"a.rec key 0 at byte 0 is cut off"):
        RecordIOSource(path)
    path.write_bytes(data[:-12] + frame(payload(0.0, b"next")))
    with pytest.raises(DataError, match="must have a record at byte 36, none begins there"):
        RecordIOSource(path)


def test_labels_over_2_to_the_24_are_compared_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Float32 holds even numbers only there: the header of 2^24 + 3 images is off by one."""
    first = 2**24
    rows = {first + number: payload(0.0, b"i") for number in range(4)}
    rows[first + 4] = payload((first + 1, first + 4))
    write_records(tmp_path / "a.rec", {0: payload((first + 5, first + 6)), **rows})
    with pytest.raises(DataError, match="says that identity records are keys 16777220 to"):
        RecordIOSource(tmp_path / "a.rec")
    write_records(tmp_path / "a.rec", {0: payload((first + 4, first + 5)), **rows})
    assert float(np.float32(first + 5)) == first + 4
    assert len(RecordIOSource(tmp_path / "a.rec")) == 4


def test_a_file_that_changes_later(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    write_records(path, classic(IMAGES))
    source = RecordIOSource(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"a.rec cannot be read, .*key 2 at byte 80 ends after 20"):
        source.read(0, 3)
    path.unlink()
    with pytest.raises(DataError, match=r"a.rec cannot be read"):
        source.read(0, 1)
