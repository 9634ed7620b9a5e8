from __future__ import annotations

import copyreg
import pickle
import struct
import time
from pathlib import Path

import hostile_pickles
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data import bin_pickle
from lfs_ray.data.bin_pickle import Array, load_objects
from lfs_ray.errors import DataError


@pytest.mark.parametrize("name", hostile_pickles.LIVE)
def test_hostile_pickles_are_live_and_refused_before_anything_runs(
    name: str, tmp_path: Path
) -> None:
    sentinel = tmp_path / "sentinel"
    data = hostile_pickles.LIVE[name](sentinel)
    with pytest.raises(DataError, match=r"nothing of it was run") as caught:
        load_objects(data, "x.bin")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("x.bin must be a `.bin` set")
    assert not sentinel.exists()
    pickle.loads(data)
    assert sentinel.exists(), "the pickle does no harm: it proves nothing"


@pytest.mark.parametrize("name", hostile_pickles.BROKEN)
def test_broken_streams_are_refused_in_one_line(name: str) -> None:
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        load_objects(hostile_pickles.BROKEN[name], "x.bin")
    assert str(caught.value).startswith("x.bin must be a `.bin` set, ")
    assert "\n" not in str(caught.value)
    assert str(caught.value).isascii()
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x80\x04" + hostile_pickles.stack_global("posix", "system") + b".", "'posix.system'"),
        (b"\x80\x02cos\nsystem\n.", "'os.system'"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (hostile_pickles.BROKEN["persistent id"], "opcode BINPERSID"),
        (hostile_pickles.BROKEN["memo bomb"], "a memo place of 2147483647 after 2 opcodes"),
        (hostile_pickles.BROKEN["array of objects"], "an array of type 'O8'"),
        (hostile_pickles.BROKEN["dictionary"], "opcode EMPTY_DICT"),
        (hostile_pickles.BROKEN["copies"], "something else than each image once"),
        (hostile_pickles.BROKEN["copies of a buffer"], "something else than each image once"),
    ],
)
def test_messages_say_what_was_asked_for(data: bytes, what: str) -> None:
    with pytest.raises(DataError, match="get the set from a source you trust") as caught:
        load_objects(data, "x.bin")
    assert what in str(caught.value)


def test_an_extension_that_is_registered_and_cached_is_refused_too() -> None:
    """The registry answers without asking which names are allowed."""
    copyreg.add_extension("os", "getcwd", 17)
    try:
        data = b"\x80\x02\x82\x11)R."
        assert pickle.loads(data) == str(Path.cwd())
        with pytest.raises(DataError, match="opcode EXT1"):
            load_objects(data, "x.bin")
    finally:
        copyreg.remove_extension("os", "getcwd", 17)
        copyreg.clear_extension_cache()


def test_the_table_of_names_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the opcodes it still refuses all that would run."""
    monkeypatch.setattr(bin_pickle, "_check_opcodes", lambda data: None)
    for name, make in hostile_pickles.LIVE.items():
        sentinel = tmp_path / name.replace(" ", "")
        with pytest.raises(DataError, match="it holds"):
            load_objects(make(sentinel), "x.bin")
        assert not sentinel.exists(), name


def test_too_many_opcodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bin_pickle, "MAX_OPCODES", 10)
    load_objects(b"\x80\x02](" + b"N" * 5 + b"e.", "x.bin")
    with pytest.raises(DataError, match="more than 10 pickle opcodes"):
        load_objects(b"\x80\x02](" + b"N" * 20 + b"e.", "x.bin")


def array_of(item: object) -> np.ndarray:
    assert isinstance(item, Array)
    return np.frombuffer(item.raw, f"{item.dtype.order}{item.dtype.code}").reshape(item.shape)


@given(
    st.sampled_from(["u1", "b1", "i1", "<i2", ">i2", "<u4", ">i8", "<i8"]),
    st.lists(st.integers(1, 3), min_size=0, max_size=3),
    st.integers(0, 5),
    st.integers(0, 2**32),
)
def test_arrays_of_every_protocol_come_back(
    code: str, shape: list[int], protocol: int, seed: int
) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    array = rng.integers(0, 100, shape).astype(code)
    found = load_objects(pickle.dumps([array, array], protocol=protocol), "x.bin")
    assert np.array_equal(array_of(found[0]), array)
    assert np.array_equal(found[0].numbers(), array.ravel())
    assert len(found) == 2


@given(
    st.sampled_from(["u1", "b1", "<i2", ">i4", "<u8", "<i8"]),
    st.integers(-9, 9),
    st.integers(0, 5),
)
def test_numpy_numbers_come_back(code: str, value: int, protocol: int) -> None:
    number = np.array(abs(value) if "u" in code else value).astype(code)[()]
    found = load_objects(pickle.dumps([number], protocol=protocol), "x.bin")
    assert found == [number.item()]
    assert type(found[0]) is type(number.item())


@pytest.mark.parametrize(
    "array", [np.zeros(2), np.array(["a"]), np.array([b"a"]), np.zeros(2, "V3")]
)
def test_arrays_of_other_types_are_refused(array: np.ndarray) -> None:
    with pytest.raises(DataError, match="an array of type"):
        load_objects(pickle.dumps([array]), "x.bin")


def test_names_of_both_numpys_mean_the_same() -> None:
    """`numpy.core` became `numpy._core`; a file names the one that wrote it."""
    array = np.arange(5, dtype=np.uint8)
    for protocol, writable in ((2, True), (4, True), (5, True), (5, False)):
        array.flags.writeable = writable
        data = pickle.dumps([array, np.bool_(1)], protocol=protocol)
        for old, new in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
            renamed = _rename(data, old, new)
            first, second = load_objects(renamed, "x.bin")
            assert array_of(first).tolist() == [0, 1, 2, 3, 4]
            assert second is True


def _rename(data: bytes, old: bytes, new: bytes) -> bytes:
    """Names in a pickle, with their lengths and frames."""
    if b"\x95" in data[:3]:
        data = data[:2] + data[11:]  # frames are not needed
    shift = len(new) - len(old)
    start = data.find(old)
    while start >= 0:
        if data[start - 2 : start - 1] == b"\x8c":
            length = struct.pack("B", data[start - 1] + shift)
            data = data[: start - 1] + length + data[start:]
        data = data[:start] + new + data[start + len(old) :]
        start = data.find(old, start + len(new))
    return data
