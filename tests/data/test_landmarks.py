from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfs_ray.data.landmarks import read_landmarks
from lfs_ray.errors import DataError

TEN = "1 2 3 4 5.5 6 7 8 9 -1e1"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "points.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("score", ["", " 0.98"])
def test_points_by_key(tmp_path: Path, score: str) -> None:
    text = f"\ufeffa/1.jpg {TEN}{score}\r\n\nb c\u00e9.jpg\t{TEN.replace('5.5', '0')}{score}\n"
    points = read_landmarks(written(tmp_path, text))
    assert len(points) == 2
    assert points.of("a/1.jpg").tolist() == [[1, 2], [3, 4], [5.5, 6], [7, 8], [9, -10]]
    assert points.of("b c\u00e9.jpg")[2].tolist() == [0, 6]
    assert points.find("a") is None
    with pytest.raises(DataError, match='txt must have a line for every image, "a" has none'):
        points.of("a")


def test_a_number_in_a_key_is_no_score(tmp_path: Path) -> None:
    points = read_landmarks(written(tmp_path, f"a 7 {TEN}\nb {TEN}\n"))
    assert points.find("a 7") is not None
    assert points.find("b") is not None


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("ab/._\u4e2d", min_size=1), unique=True, min_size=1), st.booleans())
def test_what_is_written_is_read(tmp_path: Path, keys: list[str], score: bool) -> None:
    values = np.random.default_rng(len(keys)).normal(50, 30, (len(keys), 10)).astype(np.float32)
    rows = zip(keys, values.tolist(), strict=True)
    tail = " 0.5" if score else ""
    lines = [f"{key} {' '.join(map(repr, numbers))}{tail}\n" for key, numbers in rows]
    points = read_landmarks(written(tmp_path, "".join(lines)))
    for key, numbers in zip(keys, values, strict=True):
        assert np.array_equal(points.of(key), numbers.reshape(5, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2 3", r"line 1 must be \"key x1 y1 ... x5 y5\", got 'a 1 2 3'"),
        (f"a {TEN}\nb {TEN[2:]}", "line 2 must be"),
        (f"a {TEN}\nb {TEN[2:]} x", "line 2 must be"),
        (f"a {TEN}\nb nan {TEN[2:]}", "line 2 must be"),
        (f"a {TEN}\n\na {TEN}", 'one line for an image, "a" has two'),
        (b"\xff " + TEN.encode(), "line 1 must be UTF-8 text"),
    ],
)
def test_bad_lines(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_landmarks(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_equal_hashes_of_different_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfs_ray.data.landmarks.hash", lambda key: 0, raising=False)
    points = read_landmarks(written(tmp_path, f"a 9{TEN}\nb {TEN}\n"))
    assert points.of("b")[0, 0] == 1
    assert points.of("b")[2, 0] == 5.5
    assert points.find("c") is None


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt must be a readable file"):
        read_landmarks(tmp_path / "none.txt")
