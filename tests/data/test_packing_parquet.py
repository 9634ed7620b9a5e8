from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import encoded, pixels_of

from lfs_ray.data.pack import pack
from lfs_ray.data.packing import parquet_rows
from lfs_ray.data.packing.parquet import ParquetSource
from lfs_ray.data.packing.parquet_rows import ImageRows
from lfs_ray.data.store import open_store
from lfs_ray.errors import DataError


def write(path: Path, images: Sequence[object], labels: Sequence[object], **more: object) -> Path:
    options = {key: more.pop(key) for key in ("row_group_size",) if key in more}
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table({"image": images, "label": labels, **more}), path, **options)
    return path


def content(source: ParquetSource) -> list[tuple[str, bytes, str]]:
    return [(r.key, r.image, source.class_names[r.label]) for r in source.read(0, len(source))]


def test_bytes_and_whole_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [b"zero", b"one", b"two"], [7, 7, 3])
    source = ParquetSource(path)
    assert content(source) == [
        ("00000000", b"zero", "7"),
        ("00000001", b"one", "7"),
        ("00000002", b"two", "3"),
    ]
    assert source.class_names == ["3", "7"]
    assert source.facts == {
        "kind": "parquet",
        "files": ["a.parquet"],
        "columns": ["image", "label"],
        "labels_renumbered": True,
    }


def test_struct_with_bytes_and_path(tmp_path: Path) -> None:
    images = [{"path": "a.jpg", "bytes": b"a"}, {"path": None, "bytes": b"b"}]
    path = write(tmp_path / "a.parquet", images, ["zoe", "ann"])
    source = ParquetSource(path)
    assert content(source) == [("00000000", b"a", "zoe"), ("00000001", b"b", "ann")]
    assert source.class_names == ["ann", "zoe"]
    assert source.facts["labels_renumbered"] is False


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["b", "a", "b"]).dictionary_encode(),
        pa.array(["b", "a", "b"], pa.large_string()),
        pa.array([5, 1, 5], pa.uint8()),
        pa.array([5, 1, 5], pa.uint64()),
    ],
)
def test_types_of_labels(tmp_path: Path, labels: pa.Array) -> None:
    source = ParquetSource(write(tmp_path / "a.parquet", [b"x", b"y", b"z"], labels))
    assert [r.label for r in source.read(0, 3)] == [1, 0, 1]


@pytest.mark.parametrize("keys", [["k/a", "\u4e2d b"], [12, 3]])
def test_names_of_columns(tmp_path: Path, keys: list[object]) -> None:
    table = pa.table(
        {"png": pa.array([b"a", b"b"], pa.large_binary()), "who": ["x", "x"], "id": keys}
    )
    pq.write_table(table, tmp_path / "a.pq")
    source = ParquetSource(tmp_path / "a.pq", "png", "who", "id")
    assert [key for key, *_ in content(source)] == [str(key) for key in keys]
    assert source.facts["columns"] == ["png", "who", "id"]


def test_folder_of_files_and_its_data_folder(tmp_path: Path) -> None:
    write(tmp_path / "data/part-1.parquet", [b"c"], ["ann"])
    write(tmp_path / "data/part-0.parquet", [b"a", b"b"], ["bob", "eve"])
    expected = [("00000000", b"a", "bob"), ("00000001", b"b", "eve"), ("00000002", b"c", "ann")]
    for place in (tmp_path, tmp_path / "data", tmp_path / "data/part-{0,1}.parquet"):
        assert content(ParquetSource(place)) == expected


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=3),
    st.integers(1, 90),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 200)), max_size=6),
)
def test_any_range_of_any_groups(
    tmp_path: Path, rows: list[int], group_size: int, ranges: list[tuple[int, int]]
) -> None:
    images = [b"%d/%d" % (file, row) for file, count in enumerate(rows) for row in range(count)]
    first, files = 0, []
    for number, count in enumerate(rows):
        part = pa.array(images[first : first + count], pa.binary())
        labels = pa.array([0] * count, pa.int64())
        path = tmp_path / f"{number}.parquet"
        files.append(write(path, part, labels, row_group_size=group_size))
        first += count
    source = ImageRows(files, "image")
    assert len(source) == len(images)
    for start, count in ranges:
        start = min(start, len(images))
        stop = min(start + count, len(images))
        assert source.read(start, stop) == images[start:stop]


def test_threads_out_of_order_with_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "_KEPT_BYTES", 1)
    monkeypatch.setattr(parquet_rows, "_OPEN_GROUPS", 1)
    images = [b"%d" % number for number in range(900)]
    path = write(tmp_path / "a.parquet", images, [0] * 900, row_group_size=450)
    source = ParquetSource(path)
    starts = np.random.default_rng(0).permutation(np.arange(0, 900, 30)).tolist()
    gate = threading.Barrier(4)

    def read(start: int) -> list[bytes]:
        if start in starts[:4]:
            gate.wait(10)
        return [record.image for record in source.read(start, start + 30)]

    with ThreadPoolExecutor(4) as pool:
        parts = dict(zip(starts, pool.map(read, starts), strict=True))
    assert [image for start in sorted(parts) for image in parts[start]] == images


def test_a_large_group_is_not_read_whole(tmp_path: Path) -> None:
    images = np.random.default_rng(0).bytes(48_000_000)
    parts = [images[start : start + 8000] for start in range(0, len(images), 8000)]
    path = write(tmp_path / "a.parquet", parts, [0] * len(parts))
    source = ParquetSource(path)
    before = pa.total_allocated_bytes()
    assert [record.image for record in source.read(0, 64)] == parts[:64]
    assert pa.total_allocated_bytes() - before < 24_000_000


def test_packed_set_is_identical(tmp_path: Path) -> None:
    blobs = [encoded(pixels_of(number)) for number in range(6)]
    path = write(tmp_path / "a.parquet", blobs, list("aabbcc"), row_group_size=4)
    pack(path, tmp_path / "set", threads=3)
    store = open_store(tmp_path / "set")
    assert [store.read(f"{number:08d}") for number in range(6)] == blobs
    assert (tmp_path / "set/labels.tsv").read_text() == "a\t0\nb\t1\nc\t2\n"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            [1, 2],
            [0, 0],
            "column image of .*a.parquet must hold encoded images .*, it holds int64",
        ),
        (["a", "b"], [0, 0], "must hold encoded images .*, it holds string"),
        (
            [{"path": "x"}] * 2,
            [0, 0],
            "must hold encoded images .*, it holds struct<path: string>",
        ),
        ([b"a", b"b"], [0.0, 1.0], "column label must hold whole numbers or names, .* double"),
        (
            [b"a", b"b"],
            [0, None],
            "a.parquet row 1 must have a value in column label, it has none",
        ),
        ([b"a", b"b"], [0, -2], "a.parquet row 1 must have a label of 0 to 2147483647 .* got -2"),
        ([b"a", b"b"], pa.array([0, 2**64 - 1], pa.uint64()), "row 1 must have a label of 0 to"),
        ([], [], "must hold at least one row, it holds none"),
    ],
)
def test_bad_columns_are_one_line(
    tmp_path: Path, images: list[object], labels: list[object], message: str
) -> None:
    table = pa.table(
        {
            "image": images if images else pa.array([], pa.binary()),
            "label": labels or pa.array([], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message) as caught:
        ParquetSource(tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)


def test_missing_columns_name_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [b"a"], [0], name=["x"])
    with pytest.raises(DataError, match='must have a column "img", it has image, label, name'):
        ParquetSource(path, image_column="img")
    with pytest.raises(DataError, match='must have a column "who", it has image, label, name'):
        ParquetSource(path, label_column="who")
    with pytest.raises(DataError, match='must have a column "id", it has image, label, name'):
        ParquetSource(path, key_column="id")


def test_keys_that_come_twice(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [b"a"], [0], key=["same"])
    write(tmp_path / "b.parquet", [b"a"], [0], key=["same"])
    with pytest.raises(DataError, match=r'column key has "same" in rows 0 and 1 .counted over'):
        ParquetSource(tmp_path, key_column="key")


def test_rows_without_image(tmp_path: Path) -> None:
    images = pa.array([b"a"] * 70 + [None], pa.binary())
    path = write(tmp_path / "a.parquet", images, [0] * 71, row_group_size=40)
    with pytest.raises(DataError, match=r"a.parquet row 70 must hold an image in column image"):
        ParquetSource(path).read(0, 71)
    struct = pa.array([{"bytes": b"a", "path": "p"}, {"bytes": None, "path": "p"}, None])
    path = write(tmp_path / "a.parquet", struct, [0] * 3)
    for row in (1, 2):
        with pytest.raises(
            DataError, match=rf"row {row} must hold an image in column image.bytes"
        ):
            ParquetSource(path).read(row, row + 1)


def test_broken_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [b"abcd" * 99] * 99, [0] * 99)
    source = ParquetSource(path)
    whole = path.read_bytes()
    for data in (b"", b"text", whole[:-100]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"a.parquet must be a whole Parquet file") as caught:
            ParquetSource(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(
        DataError, match=r"a.parquet must be a whole Parquet file, it cannot be read"
    ) as caught:
        source.read(0, 1)
    assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"must hold .parquet files, it holds none"):
        ParquetSource(tmp_path / "empty")


def test_one_type_of_images(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [b"a"], [0])
    write(tmp_path / "b.parquet", [{"bytes": b"a"}], [0])
    with pytest.raises(DataError, match="column image must be of one type in all files"):
        ParquetSource(tmp_path)
