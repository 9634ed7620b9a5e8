from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import encoded, pixels_of
from tar_writer import sample, write_tar

from lfs_ray.data.pack import pack
from lfs_ray.data.packing.tar_members import Member, members_of
from lfs_ray.data.packing.tars import TarSource
from lfs_ray.data.store import open_store
from lfs_ray.errors import DataError


def content(source: TarSource) -> list[tuple[str, bytes, str]]:
    return [(r.key, r.image, source.class_names[r.label]) for r in source.read(0, len(source))]


def test_shards_of_a_folder_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_tar(tmp_path / "b.tar", sample("x/2", b"two", 7))
    write_tar(tmp_path / "a.tar", sample("x/1", b"one", 0) + sample("y/0", b"zero", 7))
    source = TarSource(tmp_path)
    assert content(source) == [("x/1", b"one", "0"), ("y/0", b"zero", "7"), ("x/2", b"two", "7")]
    assert source.read(1, 3) == source.read(0, 3)[1:]
    assert source.facts == {
        "kind": "webdataset",
        "files": ["a.tar", "b.tar"],
        "files_left_out": 0,
        "names_repeat_across_files": False,
        "labels_renumbered": True,
    }


def test_names_that_come_in_two_shards(tmp_path: Path) -> None:
    for shard in "ab":
        write_tar(tmp_path / f"{shard}.tar", sample("n1/0", shard.encode(), 0))
    assert content(TarSource(tmp_path)) == [("n1/a-0", b"a", "0"), ("n1/b-0", b"b", "0")]


def test_what_makes_a_sample(tmp_path: Path) -> None:
    """The name up to the first dot of the base name; order within a sample does not matter."""
    files = [
        ("./dir.1/a.cls", b" 1\n"),
        ("./dir.1/a.PNG", b"png"),
        ("./dir.1/a.txt", b"left out"),
        ("readme", b"left out"),
        ("b.json", b'{"label": 0, "identity": null}'),
        ("b.seg.png", b"left out"),
        ("b.webp", b"webp"),
        ("b.cls", b"2"),
    ]
    source = TarSource(write_tar(tmp_path / "a.tar", files))
    assert content(source) == [("dir.1/a", b"png", "1"), ("b", b"webp", "2")]
    assert source.facts["files_left_out"] == 3


@pytest.mark.parametrize(
    ("identities", "labels", "names"),
    [
        (["ann", "ann", "bob"], [0, 0, 1], ["ann", "bob"]),
        (["ann", "ann", "bob"], [0, 0, 2], ["0", "2"]),
        (["ann", "eve", "bob"], [0, 0, 1], ["0", "1"]),
        (["ann", None, "bob"], [0, 0, 1], ["0", "1"]),
        (["ann", "ann", "ann"], [0, 0, 1], ["0", "1"]),
        (["a\tb", "a\tb", "c"], [0, 0, 1], ["0", "1"]),
    ],
)
def test_identities_name_classes_when_they_can(
    tmp_path: Path, identities: list[str | None], labels: list[int], names: list[str]
) -> None:
    files = []
    for number, (identity, label) in enumerate(zip(identities, labels, strict=True)):
        row = {"label": label, "source": "casia"}
        if identity is not None:
            row["identity"] = identity
        files += [(f"{number}.jpg", b"i"), (f"{number}.json", json.dumps(row).encode())]
    source = TarSource(write_tar(tmp_path / "a.tar", files))
    assert source.class_names == names
    assert [r.label for r in source.read(0, 3)] == [sorted(set(labels)).index(x) for x in labels]


NAMES = st.text("ab/\u4e2d. ", min_size=1, max_size=150).map(lambda s: "x" + s.strip("/") + "x")
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=6),
    st.sampled_from(FORMATS),
    st.sampled_from([0, 1.5]),
)
def test_members_are_those_of_the_standard_library(
    tmp_path: Path, files: list[tuple[str, bytes]], tar_format: int, mtime: float
) -> None:
    if tar_format == tarfile.USTAR_FORMAT:
        files = [(name[:30], data) for name, data in files]
    path = write_tar(tmp_path / "a.tar", files, tar_format=tar_format, mtime=mtime)
    data = path.read_bytes()
    found = [(m.name, data[m.start : m.start + m.size]) for m in members_of(path)]
    assert found == files
    with tarfile.open(path) as archive:
        expected = [Member(m.name, m.offset_data, m.size) for m in archive.getmembers()]
    assert list(members_of(path)) == expected


def test_names_in_two_parts(tmp_path: Path) -> None:
    name = "d" * 90 + "/" + "n" * 90 + ".jpg"
    assert [m.name for m in members_of(write_tar(tmp_path / "a.tar", [(name, b"")]))] == [name]


def test_folders_and_links_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind, name in (
            (tarfile.DIRTYPE, "d"),
            (tarfile.REGTYPE, "d/a.jpg"),
            (tarfile.SYMTYPE, "d/link.jpg"),
            (tarfile.AREGTYPE, "d/a.cls"),
            (tarfile.LNKTYPE, "d/hard.jpg"),
            (tarfile.REGTYPE, "d/z" * 90),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "d/a.jpg"
            info.size = 2 if kind in (tarfile.REGTYPE, tarfile.AREGTYPE) else 0
            if kind == tarfile.DIRTYPE:
                info.size = 600  # means nothing: no content follows
            archive.addfile(info, io.BytesIO(b"01") if info.isreg() else None)
    assert [member.name for member in members_of(path)] == ["d/a.jpg", "d/a.cls", "d/z" * 90]


def test_packed_set_is_identical(tmp_path: Path) -> None:
    blobs = [encoded(pixels_of(number)) for number in range(4)]
    files = [file for i, blob in enumerate(blobs) for file in sample(f"{i:04d}", blob, i // 2)]
    pack(write_tar(tmp_path / "a.tar", files), tmp_path / "set")
    store = open_store(tmp_path / "set")
    assert [store.read(f"{number:04d}") for number in range(4)] == blobs


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("x.cls", b"0")], 'a.tar sample "x" at byte 512 must have an image, it has only cls'),
        ([("x.jpg", b"i")], 'a.tar sample "x" at byte 512 must have a label in a .cls or .json'),
        (
            [("x.jpg", b"i"), ("x.png", b"i")],
            '"x" has another at byte 1536, after that at byte 51',
        ),
        (
            [("x.jpg", b"i"), ("x.jpg", b"i")],
            '"x" has another at byte 1536, after that at byte 51',
        ),
        (sample("x", b"i", -1), r"whole label of 0 or more in its .cls file, got '-1'"),
        ([("x.jpg", b"i"), ("x.cls", b"one")], "in its .cls file, got 'one'"),
        ([("x.jpg", b"i"), ("x.cls", b"1.0")], "in its .cls file, got '1.0'"),
        ([("x.jpg", b"i"), ("x.cls", b"")], "in its .cls file, got ''"),
        ([("x.jpg", b"i"), ("x.cls", b"9" * 5000)], "in its .cls file, got '9{60}'"),
        ([("x.jpg", b"i"), ("x.json", b"[" * 100_000)], r"in its .json file, got '\[{60}'"),
        ([("x.jpg", b"i"), ("x.json", b"[1]")], r"in its .json file, got '\[1\]'"),
        ([("x.jpg", b"i"), ("x.json", b'{"label": true}')], "in its .json file"),
        ([("x.jpg", b"i"), ("x.json", b'{"label": 0.5}')], "in its .json file"),
        ([("x.jpg", b"i"), ("x.json", b'{"labels": 0}')], "in its .json file"),
        (
            [*sample("x", b"i", 0), *sample("y", b"i", 0), *sample("x", b"i", 0)],
            'must have different names, "x" comes at byte 512 and again at byte 4608',
        ),
        ([], "must hold samples of an image and a label, it holds none"),
        ([("readme.txt", b"")], "must hold samples of an image and a label, it holds none"),
    ],
)
def test_bad_samples_are_one_line(
    tmp_path: Path, files: list[tuple[str, bytes]], message: str
) -> None:
    write_tar(tmp_path / "a.tar", files)
    with pytest.raises(DataError, match=message) as caught:
        TarSource(tmp_path / "a.tar")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tar_format", FORMATS)
@pytest.mark.parametrize("long_name", [False, True])
def test_damaged_tars(tmp_path: Path, tar_format: int, long_name: bool) -> None:
    name = ("n" * 50 + "/") * 4 + "x" if long_name else "x"
    files = sample(name, bytes(3000), 0) + sample("y", bytes(3000), 0)
    path = write_tar(tmp_path / "a.tar", files, tar_format=tar_format)
    whole = path.read_bytes()
    last = list(members_of(path))[-1]
    end = last.start + 512
    for length in (512, 700, 3000, last.start - 512, last.start - 100, last.start, end):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a.tar (is cut off after|must be a whole tar)"):
            TarSource(path)
    path.write_bytes(whole[: last.start - 512] + b"x" * 600 + whole[last.start + 88 :])
    with pytest.raises(DataError, match=f"a.tar is damaged, byte {last.start - 512} is no header"):
        TarSource(path)
    path.write_bytes(whole[:end] + bytes(512))
    assert len(TarSource(path)) == 2


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", "must be a tar file, it is empty"),
        (b"text " * 300, "must be a whole tar, from byte 0 on it is none"),
        (b"\x1f\x8b" + bytes(600), "an uncompressed tar, it is compressed by gzip: decompress it"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "it is compressed by zstd"),
        (b"BZh9", "it is compressed by bzip2"),
        (b"\xfd7zXZ\0", "it is compressed by xz"),
    ],
)
def test_what_is_no_tar(tmp_path: Path, start: bytes, message: str) -> None:
    (tmp_path / "a.tar").write_bytes(start)
    with pytest.raises(DataError, match=message) as caught:
        TarSource(tmp_path / "a.tar")
    assert "\n" not in str(caught.value)


def test_a_shard_that_changes_later(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", sample("x", b"image", 0))
    source = TarSource(path)
    path.write_bytes(path.read_bytes()[:514])
    with pytest.raises(
        DataError, match=r'cannot be read, .*sample "x" at byte 512 ends after 2 of'
    ):
        source.read(0, 1)
