"""A search without torch that is worth killing: three populations, checkpoints up to a megabyte.

Its trials take some tens of milliseconds. Of the populations one learns, one selects, and one
stores every trial, since its members keep weights and momentum of their own.
"""

from __future__ import annotations

import ctypes
import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from executor_cases import EPOCH_IMAGES, config_of
from scripted_runner import NAN, RAISES, Script

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.sections import Config, PopulationConfig, SearchConfig
from lfs_ray.errors import RunError
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.execution.serial import run_serial
from lfs_ray.search.messages import Checkpoint, Lease, Outcome
from lfs_ray.storage import Storage

WORKERS = 4
SCRIPT = Script(
    seed=8,
    levels=7,
    faults={("learns", 3, 1): RAISES, ("selects", 2, 0): NAN, ("own", 1, 2): RAISES},
)


def three_populations(rounds: int) -> dict[str, PopulationConfig]:
    """One learns, one selects, and the members of one keep what is their own."""
    learns = {"policy": "reinforce", "members": 4, "rounds": rounds, "round_epochs": 0.5}
    selects = {"policy": "selection_only", "members": 3, "rounds": rounds, "seed": 9}
    own = {"policy": "reinforce", "members": 3, "rounds": rounds, "round_epochs": 1.0}
    compat = ("independent_init", "keep_momentum")
    return {
        "learns": PopulationConfig(search=SearchConfig(**learns)),
        "selects": PopulationConfig(search=SearchConfig(**selects)),
        "own": PopulationConfig(search=SearchConfig(compat=compat, **own)),
    }


def search_config(
    populations: dict[str, PopulationConfig], ray_address: str = "", **worker: float
) -> Config:
    """The configuration, resolved; compaction every fourth round."""
    config = config_of(populations, keep_last=2, compact_rounds=4)
    changed = {"count": WORKERS, "heartbeat_s": 1.0, "lease_timeout_s": 20.0, **worker}
    return replace(config, worker=replace(config.worker, ray_address=ray_address, **changed))


@dataclass(frozen=True, kw_only=True)
class BlobRunner:
    """Trains by script; checks what it continues from, byte by byte."""

    storage: Storage
    pace_s: float = 0.0
    """Seconds that a trial takes at least."""
    holds: bool = False
    """No other thread of the process runs meanwhile."""
    script: Script = SCRIPT

    def train(self, lease: Lease) -> Outcome:
        """Read the parents, wait, and say what the script says."""
        for parent in (lease.parent, lease.momentum):
            if parent is not None:
                self._check(parent.checkpoint)
        # A function of PyDLL keeps the interpreter, as a kernel that never lets go of it does.
        ctypes.PyDLL(None).sleep(round(self.pace_s)) if self.holds else time.sleep(self.pace_s)
        outcome = self.script.outcome(lease)
        if outcome.error:
            raise ValueError(outcome.error.removeprefix("ValueError: "))
        return outcome

    def _check(self, wanted: Checkpoint) -> None:
        try:
            found = self.storage.read(wanted.name)
        except OSError as error:
            raise RunError(f"the parent {wanted.name} must be readable, it is not") from error
        assert found == blob_of(wanted.digest), "these are not the parent's weights"

    def store(self, lease: Lease) -> Checkpoint:
        """Write bytes that depend on the weights alone."""
        weights, name = self.script.weights(lease), checkpoint_name(lease)
        size_bytes = self.storage.write(name, blob_of(weights))
        return Checkpoint(name=name, size_bytes=size_bytes, digest=weights)


def blob_of(weights: str) -> bytes:
    """The checkpoint of weights with this digest: 4 KB to 1 MB."""
    size_bytes = 2 ** (12 + int(weights[:2], 16) % 9)
    return hashlib.shake_256(weights.encode()).digest(size_bytes)


def run_alone(config: Config, folder: Path) -> Storage:
    """The undisturbed run: in this process, one trial after the other."""
    storage = Storage(folder, fsync=False)
    storage.write("config.toml", dump_toml(config).encode())
    generation = start_generation(storage, config.populations)
    coordinator = Coordinator(config, EPOCH_IMAGES, storage, generation)
    reason = run_serial(coordinator, BlobRunner(storage=storage), lambda lease, outcome: None)
    assert reason == ""
    return storage
