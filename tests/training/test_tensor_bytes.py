from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from lfs_ray.training.tensor_bytes import pack_tensors, unpack_tensors

TYPES = ["<i8", "<f8", "<f4", "<i4", "<f2", "<i2", "i1", "u1", "?"]
shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
names = st.text('ab.\u00e9"\\/\n', min_size=1, max_size=5)
arrays_of_names = st.dictionaries(
    names,
    st.builds(
        lambda shape, kind, seed: (
            np.random.default_rng(seed).integers(0, 2, shape).astype(kind).reshape(shape)
        ),
        shapes,
        st.sampled_from(TYPES),
        st.integers(0, 9),
    ),
    max_size=6,
)
ONE = b"".join(pack_tensors({"x": np.arange(3.0)}, {}))


@given(arrays_of_names, st.dictionaries(st.just("facts"), st.text(max_size=9), max_size=1))
def test_bytes_are_those_of_the_library(
    arrays: dict[str, np.ndarray], metadata: dict[str, str]
) -> None:
    blob = b"".join(pack_tensors(arrays, metadata))
    assert blob == save(arrays, metadata=metadata or None)
    assert load(blob).keys() == arrays.keys()
    found, facts = unpack_tensors(blob)
    assert facts == metadata
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_arrays_in_another_order_are_written_in_c_order() -> None:
    # As a channels-last weight gives it.
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    found, _ = unpack_tensors(b"".join(pack_tensors({"x": array}, {})))
    np.testing.assert_array_equal(found["x"], array)


def test_nothing_is_copied() -> None:
    array = np.zeros(4, np.float32)
    part = pack_tensors({"x": array}, {})[1]
    array[0] = 1.0
    assert bytes(part) == array.tobytes()
    found, _ = unpack_tensors(ONE)
    assert not found["x"].flags.owndata
    assert not found["x"].flags.writeable


def test_a_type_without_a_name_is_refused() -> None:
    with pytest.raises(KeyError):
        pack_tensors({"x": np.zeros(2, np.complex64)}, {})


def file(entry: object, data: bytes = bytes(8)) -> bytes:
    text = json.dumps({"x": entry}).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(file({"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}), id="past"),
        pytest.param(file({"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}), id="size"),
        pytest.param(file({"dtype": "F64", "shape": [-1], "data_offsets": [0, -8]}), id="minus"),
        pytest.param(file({"dtype": "F64", "shape": [1], "data_offsets": [-8, 0]}), id="before"),
        pytest.param(file({"dtype": "F64", "shape": 1, "data_offsets": [0, 8]}), id="shape"),
        pytest.param(file({"dtype": "F64", "shape": [1], "data_offsets": [0]}), id="offsets"),
        pytest.param(file({"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}), id="type"),
        pytest.param(file({"dtype": ["F64"], "shape": [1]}), id="unhashable type"),
        pytest.param(file({}), id="empty entry"),
        pytest.param(file(None), id="no entry"),
        pytest.param(ONE[:-1], id="cut off"),
        pytest.param(ONE + b"\0", id="longer"),
    ],
)
def test_what_is_no_whole_file_is_an_error_of_value(blob: bytes) -> None:
    with pytest.raises(ValueError):
        unpack_tensors(blob)
