from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load, save

from lfs_ray.config.sections import ModelConfig
from lfs_ray.errors import RunError
from lfs_ray.training.checkpoint import decode, digest, encode, model_facts, model_of

ARRAYS = {
    "backbone.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "backbone.count": np.asarray(np.int64(7)),
    "scaler.scale": np.asarray(np.float64(65536.0)),
    "momentum.weight": np.full((2, 3), -0.0, np.float32),
}
FACTS = {"model": model_facts(ModelConfig(width=4)), "round": 3, "theta": [0.1, 0.25]}
BLOB = b"".join(encode(ARRAYS, FACTS))


def test_arrays_and_facts_come_back() -> None:
    arrays, facts = decode(BLOB, name="c")
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
    assert facts == {"format": "lfs-ray-checkpoint-1", **FACTS}


def test_other_programs_can_read_the_arrays() -> None:
    loaded = load(BLOB)
    assert {name: array.tobytes() for name, array in loaded.items()} == {
        name: array.tobytes() for name, array in ARRAYS.items()
    }


def test_the_same_state_gives_the_same_bytes_in_another_process() -> None:
    program = """
import hashlib, sys
from lfs_ray.training.checkpoint import decode, encode
arrays, facts = decode(sys.stdin.buffer.read(), name="c")
facts = {key: facts[key] for key in reversed(facts)}
blob = b"".join(encode({key: arrays[key] for key in reversed(arrays)}, facts))
print(hashlib.sha256(blob).hexdigest())
"""
    found = subprocess.run(
        [sys.executable, "-c", program], input=BLOB, capture_output=True, check=True
    )
    assert found.stdout.decode().strip() == hashlib.sha256(BLOB).hexdigest()


def test_the_digest_tells_states_apart() -> None:
    other = encode(ARRAYS, {**FACTS, "round": 4})
    assert digest(BLOB) == digest(*encode(ARRAYS, FACTS))
    assert digest(BLOB) != digest(*other)


def foreign(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00" * 5, id="shorter than a length"),
        pytest.param(BLOB[:40], id="cut in the header"),
        pytest.param(BLOB[:-1], id="cut in the data"),
        pytest.param(BLOB + b"\x00", id="longer"),
        pytest.param(b"PK\x03\x04" + b"not safetensors" * 10, id="another format"),
        pytest.param(b"\xff" * 200, id="no text"),
        pytest.param(foreign([1, 2]), id="header is no table"),
        pytest.param(foreign({"__metadata__": None}), id="metadata null"),
        pytest.param(foreign({"__metadata__": {"lfs_ray": "[1]"}}), id="facts are no table"),
        pytest.param(foreign({"__metadata__": {"lfs_ray": 7}}), id="facts are no text"),
        pytest.param(foreign({"__metadata__": {"lfs_ray": "{"}}), id="facts are no JSON"),
        pytest.param(save({"x": np.zeros(3)}), id="another program's"),
        pytest.param(save({"x": np.zeros(3)}, metadata={"lfs_ray": "{}"}), id="no format"),
        pytest.param(
            foreign({"x": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"\0\0"),
            id="another program's bfloat16",
        ),
    ],
)
def test_what_is_no_checkpoint_is_one_line(blob: bytes) -> None:
    with pytest.raises(RunError, match=r"^runs/x/c\.safetensors must be .* found .*: ") as error:
        decode(blob, name="runs/x/c.safetensors")
    assert len(str(error.value).splitlines()) == 1


def test_the_model_comes_back_from_the_header() -> None:
    model = ModelConfig(backbone="iresnet18", colour="bgr", pixel_mean=0.0, embedding_dim=512)
    assert model_of({"model": model_facts(model)}, name="c") == model


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({}, "nothing"),
        ({"model": "tiny"}, "nothing"),
        ({"model": {"backbone": "vit"}}, "model.backbone must be one of"),
        ({"model": {"depth": 3}}, "model.depth"),
        ({"model": {"width": "4"}}, "model.width must be a whole number"),
    ],
)
def test_a_header_without_a_model_is_one_line(facts: dict[str, object], found: str) -> None:
    with pytest.raises(RunError, match=r"^c must describe its model") as error:
        model_of(facts, name="c")
    assert found in str(error.value)
    assert len(str(error.value).splitlines()) == 1
