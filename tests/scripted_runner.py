"""A runner without training: scripted outcomes, small real files, and accidents on request.

What executors are tested with. Outcomes and weights depend on the lease alone, so that every
executor must give the rows that a population gives when it is driven by hand. Accidents happen
once: a marker file remembers them across processes. No torch.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from scripted import ScriptedTraining

from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Checkpoint, Lease, Outcome
from lfs_ray.storage import Storage

Trial = tuple[str, int, int]
"""Population, round, member."""

LONG_S = 120.0
RAISES = Outcome(error="ValueError: scripted")
NAN = Outcome(train_loss=1.5)


def trial_of(lease: Lease) -> Trial:
    """The trial that a lease stands for."""
    return lease.population, lease.round, lease.member


@dataclass(frozen=True, kw_only=True)
class Script(ScriptedTraining):
    """What comes of every trial."""

    faults: Mapping[Trial, Outcome] = field(default_factory=dict)
    """Trials that fail whenever they are trained: RAISES or NAN."""

    def outcome(self, lease: Lease) -> Outcome:
        """A fault, or what the seed says."""
        return self.faults.get(trial_of(lease)) or super().outcome(lease)


def _raise() -> NoReturn:
    raise ValueError("scripted, once")


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def _exit() -> NoReturn:
    raise SystemExit(1)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _preempt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LONG_S)
    raise AssertionError("a worker that is told to end must end while it trains")


ACCIDENTS: dict[str, Callable[[], None]] = {
    "raise": _raise,
    "interrupt": _interrupt,
    "exit": _exit,
    "kill": _kill,
    "preempt": _preempt,
}


@dataclass(frozen=True, kw_only=True)
class ScriptedRunner:
    """Trains by script; `partial(ScriptedRunner, ...)` travels to Ray's workers."""

    script: Script
    storage: Storage
    marks: Path
    """Folder that notes every training and every accident, for all processes."""
    accidents: Mapping[tuple[str, Trial], str] = field(default_factory=dict)
    """("train" or "store", trial) -> a key of ACCIDENTS; each happens once."""
    waits_for_copy: frozenset[Trial] = frozenset()
    """Trials whose training does not end before a second one of them has begun."""

    def train(self, lease: Lease) -> Outcome:
        """Read the parent as training does, then say what the script says."""
        self._note("trained", lease)
        self._happen("train", lease)
        if trial_of(lease) in self.waits_for_copy:
            self._wait_for_copy(trial_of(lease))
        for parent in (lease.parent, lease.momentum):
            if parent is not None:
                weights = self.storage.read(parent.checkpoint.name).decode()
                assert weights == parent.checkpoint.digest, "these are not the parent's weights"
        outcome = self.script.outcome(lease)
        if outcome.error:
            raise ValueError(outcome.error.removeprefix("ValueError: "))
        return outcome

    def store(self, lease: Lease) -> Checkpoint:
        """Write the weights' digest as the checkpoint."""
        self._happen("store", lease)
        weights, name = self.script.weights(lease), checkpoint_name(lease)
        size_bytes = self.storage.write(name, weights.encode())
        return Checkpoint(name=name, size_bytes=size_bytes, digest=weights)

    def _happen(self, where: str, lease: Lease) -> None:
        trial = trial_of(lease)
        accident = self.accidents.get((where, trial))
        mark = self.marks / _name("accident", where, *trial)
        if accident is not None and not mark.exists():
            mark.touch()
            ACCIDENTS[accident]()

    def _wait_for_copy(self, trial: Trial) -> None:
        deadline = time.monotonic() + LONG_S
        while trainings(self.marks)[trial] < 2:
            assert time.monotonic() < deadline, "nobody trained a second copy"
            time.sleep(0.02)

    def _note(self, what: str, lease: Lease) -> None:
        self.marks.mkdir(exist_ok=True)
        (self.marks / _name(what, *trial_of(lease), uuid.uuid4().hex)).touch()


def trainings(marks: Path) -> Counter[Trial]:
    """How often each trial was begun."""
    words = [path.name.split("~")[1:4] for path in marks.glob("trained~*")]
    return Counter((name, int(number), int(member)) for name, number, member in words)


def accidents_that_happened(marks: Path) -> int:
    """How many accidents happened."""
    return len(list(marks.glob("accident~*")))


def _name(*words: object) -> str:
    return "~".join(map(str, words))
