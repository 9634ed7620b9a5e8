from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfs_ray.data import key_index
from lfs_ray.data.key_index import KeyIndex, open_index, write_table
from lfs_ray.data.listing import read_list
from lfs_ray.errors import DataError

TEXT = "\ufeffa/1.jpg 0\r\n\n a b\u00e9.jpg \t1\n\nc\t0"
KEYS = ["a/1.jpg", " a b\u00e9.jpg", "c"]
LABELS = [0, 1, 0]


@pytest.fixture
def lists_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every list counts as long; the cache is here."""
    monkeypatch.setattr(key_index, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(key_index, "_cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def written(folder: Path, text: str) -> str:
    path = folder / "list.txt"
    path.write_bytes(text.encode())
    return str(path)


def keys_of(index: KeyIndex) -> list[str]:
    one_by_one = [index.encoded(place).decode() for place in range(len(index))]
    assert [key.decode() for key in index.each(np.arange(len(index)))] == one_by_one
    return one_by_one


def test_a_short_list_leaves_no_file(tmp_path: Path) -> None:
    index = open_index(written(tmp_path, TEXT))
    assert keys_of(index) == KEYS
    assert index.labels.tolist() == LABELS
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_a_long_list_is_parsed_once(
    tmp_path: Path, lists_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, TEXT)
    index = open_index(path)
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    assert [file.name for file in lists_cache.iterdir()] == [f"{digest}.npy"]
    monkeypatch.setattr(key_index, "parse_list", lambda *_: pytest.fail("parsed again"))
    again = open_index(path)
    for found in (index, again):
        assert keys_of(found) == KEYS
        assert found.labels.tolist() == LABELS
        assert found.table_file == str(lists_cache / f"{digest}.npy")


def test_a_list_that_changed_is_parsed_anew(tmp_path: Path, lists_cache: Path) -> None:
    path = written(tmp_path, "a 0\nb 1\n")
    status = os.stat(path)
    open_index(path)
    written(tmp_path, "a 0\nc 0\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # same size, same time
    index = open_index(path)
    assert keys_of(index) == ["a", "c"]
    assert index.labels.tolist() == [0, 0]
    assert len(list(lists_cache.iterdir())) == 2


def test_a_table_beside_its_list(tmp_path: Path, lists_cache: Path) -> None:
    path = written(tmp_path, TEXT)
    table = tmp_path / "index.npy"
    assert write_table(path, table) == 3
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    index = open_index(path, str(table), digest)
    assert index.table_file == str(table)
    assert keys_of(index) == KEYS
    assert not lists_cache.exists()
    assert open_index(path, str(table), "0" * 64).table_file != str(table)


@pytest.mark.parametrize("content", [b"", b"no table", b"\x93NUMPY\x01\x00"])
def test_a_broken_table_is_not_used(tmp_path: Path, lists_cache: Path, content: bytes) -> None:
    path = written(tmp_path, TEXT)
    table = tmp_path / "index.npy"
    table.write_bytes(content)
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    assert keys_of(open_index(path, str(table), digest)) == KEYS
    np.save(table, np.zeros((2, 3)))
    assert keys_of(open_index(path, str(table), digest)) == KEYS


def test_without_a_cache_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_index, "_IN_MEMORY_BYTES", 0)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert keys_of(open_index(written(tmp_path, TEXT))) == KEYS


def test_a_list_that_does_not_parse_leaves_nothing(tmp_path: Path, lists_cache: Path) -> None:
    path = written(tmp_path, "a 0\n\nb\n")
    with pytest.raises(DataError, match=f"{path} line 3 must be"):
        open_index(path)
    assert not list(lists_cache.iterdir())


@pytest.mark.parametrize("long", [False, True])
def test_another_process_gets_paths(tmp_path: Path, lists_cache: Path, long: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(key_index, "_IN_MEMORY_BYTES", 0 if long else 1 << 20)
        path = written(tmp_path, TEXT)
        blob = pickle.dumps(open_index(path))
        assert b"a/1.jpg" not in blob
        copy: KeyIndex = pickle.loads(blob)
        assert keys_of(copy) == KEYS
        written(tmp_path, "a 0\n")
        if not long:
            with pytest.raises(DataError, match="it had 3 images and has 1: start again"):
                pickle.loads(blob)


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere must be a readable file"):
        open_index(str(tmp_path / "nowhere"))
    assert len(open_index(written(tmp_path, ""))) == 0
    assert len(open_index(written(tmp_path, "\n\n"))) == 0
    assert write_table(written(tmp_path, "\n"), tmp_path / "index.npy") == 0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text("ab \t\u00e9", max_size=4), st.integers(-3, 12345678))))
def test_it_says_what_the_reader_of_lists_says(
    tmp_path: Path, lists_cache: Path, rows: list[tuple[str, int]]
) -> None:
    path = written(tmp_path, "".join(f"{key}k {label}\n" for key, label in rows))
    index, listing = open_index(path), read_list(path)
    assert keys_of(index) == list(listing.keys)
    assert index.labels.tolist() == listing.labels.tolist()
