from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfs_ray.data import list_parsing
from lfs_ray.data.listing import Keys, check_labels, read_list
from lfs_ray.errors import DataError

KEYS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8))


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@given(KEYS, KEYS)
def test_keys_are_a_sequence_of_strings(some: list[str], more: list[str]) -> None:
    one, two = (Keys.of(key.encode() for key in keys) for keys in (some, more))
    joined = Keys.join([one, two])
    assert list(joined) == some + more
    assert len(joined) == len(some) + len(more)
    for start in range(len(joined) + 1):
        codes = [key.encode() for key in (some + more)[start:-1]]
        assert joined.some(start, max(start, len(joined) - 1)) == codes


def test_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffa/1.jpg 0\r\n\n a b\u00e9.jpg \t1\n\nc\t0")
    listing = read_list(path)
    assert list(listing.keys) == ["a/1.jpg", " a b\u00e9.jpg", "c"]
    assert listing.labels.tolist() == [0, 1, 0]
    assert listing.lines.tolist() == [1, 3, 5]
    assert check_labels(listing, path) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 0\nb\n", "line 2 must be \"key label\", got 'b'"),
        ("a 0\n\nb x", "line 3 must end in an integer label, got 'b x'"),
        ("a 1.5", "line 1 must end in an integer label"),
        ("a 1_0", "line 1 must end in an integer label"),
        ("a 99999999999", "line 1 must end in an integer label"),
        ("a 2147483647\na 2147483648", "line 2 must end in an integer label"),
        ("a -2147483647\na -2147483648", "line 2 must end in an integer label"),
        ("a \u00b2", "line 1 must end in an integer label"),
        (b"a 0\n\xe9 0", r"line 2 must be UTF-8 text, got '\\\\xe9 0'"),
        ("x" * 80, r"line 1 must be \"key label\", got 'x{57}\.\.\.'"),
    ],
)
def test_lines_that_do_not_parse(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=f"{path} {message}"):
        read_list(path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 2, 3], "has no label 1 but label 3"),
        ([1, 2], "has no label 0 but label 2"),
        ([0, -2, -5], "line 2 has label -2"),
        ([], "must name at least one image, it is empty"),
    ],
)
def test_labels_must_be_contiguous(tmp_path: Path, labels: list[int], message: str) -> None:
    path = written(tmp_path, "".join(f"k {label}\n" for label in labels))
    with pytest.raises(DataError, match=message) as caught:
        check_labels(read_list(path), path)
    assert str(path) in str(caught.value)


def slow_lines(data: bytes) -> list[tuple[bytes, int, int]] | int:
    """Key, label and line of each line; or the number of the first line that does not parse."""
    rows = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        found = re.fullmatch(
            rb"(.*[^ \t\r\x0b\x0c])[ \t\r\x0b\x0c]+(-?[0-9]+)", line.rstrip(), re.DOTALL
        )
        if not line.strip():
            continue
        if found is None or abs(int(found[2])) > 2**31 - 1:
            return number
        try:
            found[1].decode()
        except UnicodeDecodeError:
            return number
        rows.append((found[1], int(found[2]), number))
    return rows


LINE = st.builds(
    lambda parts, end: b"".join(parts) + end,
    st.lists(
        st.sampled_from(
            (
                *(b"a", b"bc.jpg", b" ", b"  ", b"\t", b"-", b"7", b"0", b"2147483647"),
                *(b"2147483648", b"\xc3\xa9", b"\xff", b"\r", b"\x0b", b"\xc2\xa0"),
                *(b"00000000000003", b"/", b"_1"),
            )
        ),
        max_size=6,
    ),
    st.sampled_from([b"", b" 0", b" 12", b"\t3", b" -4", b" 5 ", b" 6\r", b"  7\x0c"]),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINE, max_size=8), st.booleans(), st.integers(1, 40))
def test_any_list(tmp_path: Path, lines: list[bytes], ends: bool, block_bytes: int) -> None:
    """Many lines at once say what one at a time says, wherever the blocks are cut."""
    data = b"\n".join(lines) + b"\n" * ends
    path = written(tmp_path, data)
    expected = slow_lines(data)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(list_parsing, "_BLOCK_BYTES", block_bytes)
        if isinstance(expected, int):
            with pytest.raises(DataError, match=f"list.txt line {expected} must"):
                read_list(path)
            return
        listing = read_list(path)
    labels, numbers = listing.labels.tolist(), listing.lines.tolist()
    keys = [listing.keys.encoded(place) for place in range(len(listing.keys))]
    assert list(zip(keys, labels, numbers, strict=True)) == expected


def test_missing_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere must be a readable file"):
        read_list(tmp_path / "nowhere")
