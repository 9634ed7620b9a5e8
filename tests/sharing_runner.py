"""A runner without training that reads and writes checkpoints as workers do.

What the exchange of parents is tested with: `CountingStorage` notes every read of a checkpoint for
all processes, and what the runner trains from is part of what it stores.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scripted_runner import Script

from lfs_ray.execution.checkpoints import Checkpoints, Exchange
from lfs_ray.search.messages import Checkpoint, Lease, Outcome
from lfs_ray.storage import Storage
from lfs_ray.training.tensor_bytes import Arrays


class CountingStorage(Storage):
    """Storage that notes in a folder beside the run who read which checkpoint."""

    def __reduce__(self) -> tuple[object, ...]:
        return CountingStorage, (self.path(),)

    def read(self, name: str) -> bytes:
        if "/checkpoints/" in name:
            marks = Path(f"{self.path()}-reads")
            marks.mkdir(exist_ok=True)
            (marks / f"{name.rpartition('/')[2]}~{os.getpid()}~{uuid.uuid4().hex}").touch()
        return super().read(name)

    @property
    def reads(self) -> list[str]:
        """Names of the checkpoints that were read, once for every read."""
        marks = Path(f"{self.path()}-reads")
        return sorted(path.name.split("~")[0] for path in marks.glob("*"))


@dataclass(kw_only=True)
class SharingRunner:
    """Stores arrays that depend on the parent's and on the lease."""

    script: Script
    storage: Storage
    size_bytes: int
    _checkpoints: Checkpoints = field(init=False)
    _arrays: Arrays = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._checkpoints = Checkpoints(self.storage, keep=4)

    def share_parents(self, exchange: Exchange) -> None:
        """Take parents from the exchange where it has them."""
        self._checkpoints.exchange = exchange

    def train(self, lease: Lease) -> Outcome:
        """Read the parent; the outcome is the script's."""
        start = self._checkpoints.start_of(lease) or {}
        weights = start.get("weights", np.zeros(self.size_bytes, np.uint8))
        read = (hashlib.sha256(weights).hexdigest(), lease.seed, lease.round, lease.member)
        step = int.from_bytes(hashlib.sha256(repr(read).encode()).digest()[:1], "big")
        self._arrays = {"weights": weights + np.uint8(step)}
        return self.script.outcome(lease)

    def store(self, lease: Lease) -> Checkpoint:
        """Store the arrays."""
        return self._checkpoints.store(lease, self._arrays, {})
