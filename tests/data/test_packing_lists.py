from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data.listing import Keys
from lfs_ray.data.packing.labels import renumber
from lfs_ray.data.packing.list_file import ListSource
from lfs_ray.data.packing.repeats import first_repeat
from lfs_ray.errors import DataError


def content(source: ListSource) -> list[tuple[str, bytes, str]]:
    return [(r.key, r.image, source.class_names[r.label]) for r in source.read(0, len(source))]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a/1.jpg", "a/two  words.jpg", "b/\u4e2d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_plain_list(images: Path, end: str, start: str) -> None:
    rows = ["b/\u4e2d.jpg\t1", "a/two  words.jpg 0", "", "a/1.jpg \t 1 "]
    (images / "list.txt").write_bytes((start + end.join(rows)).encode())
    source = ListSource(images, images / "list.txt")
    assert content(source) == [
        ("b/\u4e2d.jpg", "b/\u4e2d.jpg".encode(), "1"),
        ("a/two  words.jpg", b"a/two  words.jpg", "0"),
        ("a/1.jpg", b"a/1.jpg", "1"),
    ]
    assert source.facts == {"kind": "list", "list_file": "list.txt"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_im2rec_list(images: Path, end: str, start: str) -> None:
    rows = ["9\t7.000000\tb/\u4e2d.jpg", "", "3\t2\t0.5\t-1\ta/two  words.jpg", "4\t7\ta/1.jpg"]
    (images / "train.lst").write_bytes((start + end.join(rows)).encode())
    source = ListSource(images, images / "train.lst")
    assert [(key, name) for key, _, name in content(source)] == [
        ("b/\u4e2d.jpg", "7"),
        ("a/two  words.jpg", "2"),
        ("a/1.jpg", "7"),
    ]
    assert source.class_names == ["2", "7"]
    assert source.facts == {
        "kind": "list",
        "list_file": "train.lst",
        "list_format": "im2rec",
        "labels_renumbered": True,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a/1.jpg 0\na/1.jpg 0\n",
            'unique, "a/1.jpg" comes twice in .*list, in lines 1 and 2: r',
        ),
        (
            "a/1.jpg 0\n\nno.jpg 1",
            'line 3 must name an image file below .*, "no.jpg" is none',
        ),
        ("a/1.jpg 0\na/two  words.jpg\n", "list line 2 must end in an integer label"),
        ("a/1.jpg 0\nb\n", "list line 2 must be \"key label\", got 'b'"),
        ("a/1.jpg 0\r\n\r\na/x.jpg -1\r\n", "list line 3 has label -1"),
        ("1\t0\ta/1.jpg\n2\ta/1.jpg", r"list line 2 must be \"index<TAB>label<TAB>path\", got '2"),
        ("1\t0\ta/1.jpg\n2\t0\t ", "list line 2 must be"),
        (
            "1\t0\ta/1.jpg\n2\t0.5\tb",
            "line 2 must have a whole label of 0 or more, got '0.5'",
        ),
        ("1\t0\ta/1.jpg\n2\t-1\tb", "list line 2 must have a whole label of 0 or more, got '-1'"),
        ("1\t0\ta/1.jpg\n2\tnan\tb", "list line 2 must have a whole label"),
        ("1\t0\ta/1.jpg\n2\tx\tb", "list line 2 must have a whole label of 0 or more, got 'x'"),
        ("1\t0\ta/1.jpg\n2\t1e30\tb", "list line 2 must have a whole label"),
        (b"1\t0\ta/1.jpg\n2\t0\t\xff", "list line 2 must be UTF-8 text"),
        ("1\t0\ta/1.jpg\n2\t0\ta/1.jpg", '"a/1.jpg" comes twice in .*list, in lines 1 and 2'),
        ("1\t0\tno.jpg", 'list line 1 must name an image file below .*, "no.jpg" is none'),
        ("", "list must name at least one image, it is empty"),
    ],
)
def test_bad_lists_are_one_line(images: Path, text: str | bytes, message: str) -> None:
    path = images / "list"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError, match=message) as caught:
        ListSource(images, path)
    assert "\n" not in str(caught.value)


def test_an_image_that_went_away(images: Path) -> None:
    (images / "list").write_text("a/1.jpg 0\n")
    source = ListSource(images, images / "list")
    (images / "a/1.jpg").unlink()
    with pytest.raises(DataError, match=r"image .*a/1.jpg must be readable .No such file"):
        source.read(0, 1)
    with pytest.raises(DataError, match="none must be a readable file"):
        ListSource(images, images / "none")


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_renumbering_keeps_the_numbers_as_names(labels: list[int]) -> None:
    classes = renumber(np.array(labels, np.int64))
    assert [int(classes.names[label]) for label in classes.labels] == labels
    assert sorted(set(classes.labels.tolist())) == list(range(len(classes.names)))
    assert classes.renumbered == (sorted(set(labels)) != list(range(len(set(labels)))))


@given(st.lists(st.binary(max_size=2), max_size=30))
def test_first_repeat(strings: list[bytes]) -> None:
    found = first_repeat(Keys.of(strings))
    if len(set(strings)) == len(strings):
        assert found is None
    else:
        assert found is not None
        earlier, later = found
        assert earlier < later
        assert strings[earlier] == strings[later]
        assert strings[earlier] not in strings[:earlier]
        assert len(set(strings[:later])) == later


def test_equal_hashes_of_different_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfs_ray.data.packing.repeats.hash", lambda key: 0, raising=False)
    assert first_repeat(Keys.of([b"a", b"b", b"c"])) is None
    assert first_repeat(Keys.of([b"a", b"b", b"c", b"b"])) == (1, 3)
