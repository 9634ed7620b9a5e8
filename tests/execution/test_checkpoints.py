from __future__ import annotations

import hashlib
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from lfs_ray.errors import RunError
from lfs_ray.execution.checkpoints import Checkpoints
from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Checkpoint, Lease, Parent
from lfs_ray.storage import Storage
from lfs_ray.training.tensor_bytes import Part

ARRAYS = {"backbone.weight": np.arange(5, dtype=np.float32)}


def lease_of(number: int, parent: Parent | None = None) -> Lease:
    return Lease(
        population="main",
        round=number,
        member=2,
        token=f"t-{number}",
        theta=(0.25,),
        seed=1,
        stream_seed=2,
        init_seed=3,
        parent=parent,
    )


def parent_of(checkpoint: Checkpoint) -> Parent:
    return Parent(round=0, member=2, checkpoint=checkpoint)


def test_a_stored_state_is_known_by_the_digest_of_its_file(tmp_path: Path) -> None:
    stored = Checkpoints(Storage(tmp_path), keep=2).store(lease_of(0), ARRAYS, {"model": {}})
    assert stored.name == checkpoint_name(lease_of(0))
    blob = (tmp_path / stored.name).read_bytes()
    assert (stored.size_bytes, stored.digest) == (len(blob), hashlib.sha256(blob).hexdigest())
    with safe_open(tmp_path / stored.name, framework="numpy") as file:
        assert '"theta": [0.25]' in file.metadata()["lfs_ray"]


def test_another_process_reads_what_was_stored(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    stored = Checkpoints(storage, keep=2).store(lease_of(0), ARRAYS, {})
    found = Checkpoints(storage, keep=2).load(parent_of(stored))
    assert found.keys() == ARRAYS.keys()
    np.testing.assert_array_equal(found["backbone.weight"], ARRAYS["backbone.weight"])


def test_the_last_states_are_not_read_again(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    checkpoints = Checkpoints(storage, keep=2)
    stored = [checkpoints.store(lease_of(number), ARRAYS, {}) for number in range(3)]
    for one in stored:
        storage.delete(one.name)
    for one in stored[1:]:
        assert checkpoints.load(parent_of(one)) is ARRAYS
    with pytest.raises(RunError, match="must be readable, it is not"):
        checkpoints.load(parent_of(stored[0]))


@pytest.mark.parametrize("change", ["cut off", "one bit"])
def test_a_changed_parent_is_one_line(tmp_path: Path, change: str) -> None:
    storage = Storage(tmp_path)
    stored = Checkpoints(storage, keep=2).store(lease_of(0), ARRAYS, {})
    blob = bytearray((tmp_path / stored.name).read_bytes())
    blob[-1] ^= 1
    (tmp_path / stored.name).write_bytes(blob if change == "one bit" else blob[:-1])
    with pytest.raises(RunError, match=r"^the parent .* must hold \d+ bytes .* found") as error:
        Checkpoints(storage, keep=2).load(parent_of(stored))
    assert len(str(error.value).splitlines()) == 1


def test_a_trial_starts_from_its_parent_with_the_momentum_of_another(tmp_path: Path) -> None:
    checkpoints = Checkpoints(Storage(tmp_path), keep=0)
    states = [
        {"backbone.w": np.full(2, i), "momentum.backbone.w": np.full(2, 10 * i), "scaler.s": i}
        for i in np.arange(2, dtype=np.float64)
    ]
    first, second = (
        parent_of(checkpoints.store(lease_of(i), state, {})) for i, state in enumerate(states)
    )
    assert checkpoints.start_of(lease_of(2)) is None
    plain = checkpoints.start_of(lease_of(2, first))
    assert plain is not None
    assert {name: array.max() for name, array in plain.items()} == {
        "backbone.w": 0.0,
        "momentum.backbone.w": 0.0,
        "scaler.s": 0.0,
    }
    mixed = checkpoints.start_of(replace(lease_of(2, first), momentum=second))
    assert mixed is not None
    assert {name: array.max() for name, array in mixed.items()} == {
        "backbone.w": 0.0,
        "momentum.backbone.w": 10.0,
        "scaler.s": 0.0,
    }


def test_momentum_that_only_one_has_is_not_invented(tmp_path: Path) -> None:
    checkpoints = Checkpoints(Storage(tmp_path), keep=2)
    with_it = {"backbone.w": np.ones(2), "momentum.backbone.w": np.ones(2)}
    without = {"backbone.w": np.zeros(2)}
    first, second = (
        parent_of(checkpoints.store(lease_of(i), state, {}))
        for i, state in enumerate((with_it, without))
    )
    mixed = checkpoints.start_of(replace(lease_of(2, first), momentum=second))
    assert mixed is not None
    assert list(mixed) == ["backbone.w"]


def test_a_parent_of_another_size_is_refused(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    stored = Checkpoints(storage, keep=2).store(lease_of(0), ARRAYS, {})
    wrong = replace(stored, size_bytes=stored.size_bytes + 1)
    with pytest.raises(RunError, match="restore it from a copy"):
        Checkpoints(storage, keep=2).load(parent_of(wrong))


# ---- the exchange


class Held:
    """An exchange that holds what it is offered, or bytes of the test's choosing."""

    def __init__(self, blob: bytes | None = None) -> None:
        self.blob = blob
        self.offered: list[str] = []

    def offer(self, lease: Lease, parts: Sequence[Part]) -> None:
        self.offered.append(checkpoint_name(lease))
        self.blob = b"".join(parts)

    def fetch(self, checkpoint: Checkpoint) -> Part | None:
        return None if self.blob is None else memoryview(self.blob)


def test_what_is_stored_is_offered_and_needs_no_file(tmp_path: Path) -> None:
    storage, held = Storage(tmp_path), Held()
    winner, other = Checkpoints(storage, keep=2), Checkpoints(storage, keep=2)
    winner.exchange = other.exchange = held
    stored = winner.store(lease_of(0), ARRAYS, {})
    assert held.offered == [stored.name]
    assert held.blob == storage.read(stored.name)
    storage.delete(stored.name)
    found = other.load(parent_of(stored))
    np.testing.assert_array_equal(found["backbone.weight"], ARRAYS["backbone.weight"])
    assert not found["backbone.weight"].flags.writeable


@pytest.mark.parametrize("change", ["nothing", "cut off", "one bit"])
def test_where_the_exchange_has_other_bytes_the_file_counts(tmp_path: Path, change: str) -> None:
    storage = Storage(tmp_path)
    stored = Checkpoints(storage, keep=2).store(lease_of(0), ARRAYS, {})
    blob = bytearray(storage.read(stored.name))
    blob[-1] ^= 1
    others = {"nothing": None, "cut off": bytes(blob[:-1]), "one bit": bytes(blob)}
    checkpoints = Checkpoints(storage, keep=2)
    checkpoints.exchange = Held(others[change])
    found = checkpoints.load(parent_of(stored))
    np.testing.assert_array_equal(found["backbone.weight"], ARRAYS["backbone.weight"])


def test_states_of_earlier_rounds_are_let_go(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    stored = [
        Checkpoints(storage, keep=0).store(lease_of(number), ARRAYS, {}) for number in range(3)
    ]
    parents = [replace(parent_of(one), round=number) for number, one in enumerate(stored)]
    checkpoints = Checkpoints(storage, keep=9)
    first = weakref.ref(checkpoints.load(parents[0])["backbone.weight"])
    second = weakref.ref(checkpoints.load(parents[1])["backbone.weight"])
    assert first() is None
    assert second() is not None
    checkpoints.load(parents[1])
    assert second() is not None
