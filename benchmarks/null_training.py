"""Training that does nothing but sleep, with checkpoints of a given size: for round_overhead.py.

The same three steps for every design: take the parent's state from its file, sleep, write the
state. It doesn't import torch, as little in a process that starts anew as beside one that stays.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune

from lfs_ray.execution.checkpoints import Checkpoints, Exchange
from lfs_ray.search.messages import Checkpoint, Lease, Outcome
from lfs_ray.storage import Storage
from lfs_ray.training.checkpoint import decode, encode
from lfs_ray.training.tensor_bytes import Arrays

NUM_ARRAYS = 50
FILE = "state.safetensors"


def new_state(size_mb: int) -> Arrays:
    """Arrays of float32, together `size_mb` MB."""
    rng = np.random.default_rng(0)
    length = size_mb * 1_000_000 // (4 * NUM_ARRAYS)
    return {f"backbone.{i}": rng.random(length, dtype=np.float32) for i in range(NUM_ARRAYS)}


def reward_of(number: int, member: int) -> float:
    return float(np.random.default_rng((number, member)).random())


def write_state(path: Path, state: Arrays) -> None:
    Storage(path.parent).write(path.name, *encode(state, {}))


def read_state(path: Path) -> Arrays:
    arrays, _ = decode(Storage(path.parent).read(path.name), name=str(path))
    return {name: array.copy() for name, array in arrays.items()}


class NullRunner:
    """What lfs-ray's workers run instead of training."""

    def __init__(self, storage: Storage, size_mb: int, train_s: float) -> None:
        self._checkpoints = Checkpoints(storage, keep=4)
        self._state = new_state(size_mb)
        self._train_s = train_s

    def share_parents(self, exchange: Exchange) -> None:
        """Take parents from the exchange where it has them."""
        self._checkpoints.exchange = exchange

    def train(self, lease: Lease) -> Outcome:
        """Load, sleep, and give a reward that depends on the lease alone."""
        began = time.perf_counter()
        if lease.parent is not None:
            parent = self._checkpoints.load(lease.parent)
            self._state = {name: array.copy() for name, array in parent.items()}
        loaded = time.perf_counter()
        time.sleep(self._train_s)
        costs: dict[str, str | int | float | None] = {
            "train_s": time.perf_counter() - loaded,
            "eval_s": 0.0,
            # The only thing that this training waits for.
            "data_wait_s": loaded - began,
        }
        return Outcome(
            reward=reward_of(lease.round, lease.member),
            reward_se=0.01,
            train_loss=1.0,
            costs=costs,
        )

    def store(self, lease: Lease) -> Checkpoint:
        """Write the state."""
        return self._checkpoints.store(lease, self._state, {})


def null_trial(config: dict[str, Any]) -> None:
    """One trial of a round in the design "one Tuner a round": a Tune function trainable."""
    state = read_state(Path(config["parent"])) if config["parent"] else new_state(config["mb"])
    began = time.perf_counter()
    time.sleep(config["train_s"])
    train_s = time.perf_counter() - began
    path = Path(config["folder"]) / f"{config['round']}-{config['member']}.safetensors"
    write_state(path, state)
    reward = reward_of(config["round"], config["member"])
    tune.report({"reward": reward, "path": str(path), "train_s": train_s})


class NullTrainable(tune.Trainable):
    """A member of Ray's PopulationBasedTraining: a Tune class trainable."""

    def setup(self, config: dict[str, Any]) -> None:
        """A state, before the first step."""
        self._state = new_state(config["mb"])

    def step(self) -> dict[str, float]:
        """Sleep."""
        started_at, began = time.time(), time.perf_counter()
        time.sleep(self.config["train_s"])
        reward = reward_of(self.iteration, self.config["member"])
        return {
            "reward": reward,
            "started_at": started_at,
            "train_s": time.perf_counter() - began,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state."""
        write_state(Path(checkpoint_dir) / FILE, self._state)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Take up a written state; Ray gives the folder."""
        self._state = read_state(Path(checkpoint) / FILE)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another theta."""
        self.config = new_config
        return True
