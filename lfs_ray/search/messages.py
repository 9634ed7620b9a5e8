"""What a population and its workers say to each other: plain frozen values, no behaviour.

A trial is named by its population, round and member; the token names one handing out of it (a
lease), so that a late or repeated call can be told from a fresh one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

CostValue: TypeAlias = str | int | float | None


class Verdict(Enum):
    """Answer to a report or a stored checkpoint."""

    KEEP = "keep"
    """Best so far: store the checkpoint, then confirm."""
    DISCARD = "discard"
    """Complete; nothing to store."""
    GONE = "gone"
    """Not this worker's business any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A stored training state: its name in the run, size in bytes and digest."""

    name: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A trial that another one continues from, mostly the selected one of the round before."""

    round: int
    member: int
    checkpoint: Checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A trial handed to a worker: all that training it needs, as plain numbers."""

    population: str
    round: int
    member: int
    token: str
    theta: tuple[float, ...]
    seed: int
    """Seed of everything random in the trial but the data stream."""
    stream_seed: int
    """Seed of the data stream; the same for the members of a round that share their batches."""
    init_seed: int
    """Seed of the initial weights, used where there is no parent."""
    parent: Parent | None
    """Whose weights and optimizer state it starts from; None: initial weights."""
    momentum: Parent | None = None
    """Whose momentum replaces the parent's; None: nobody's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a worker says of a trial: numbers when it finished, the reason when it failed."""

    reward: float = float("nan")
    reward_se: float = float("nan")
    train_loss: float = float("nan")
    error: str = ""
    costs: Mapping[str, CostValue] = field(default_factory=dict)
    """Run columns of the trial table: times, worker, host, device, ..."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A complete trial of the open round; the journal holds one file of each that did not fail."""

    round: int
    member: int
    attempts: int
    outcome: Outcome
    checkpoint: Checkpoint | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerId:
    """One start of one worker, and where it runs."""

    index: int
    incarnation: str
    host: str = ""
    node: str = ""
    """Ray's name of the node; empty without Ray."""
    log: str = ""
    """Where its process writes what it prints, on that host."""

    def place(self) -> str:
        """Who and where, for messages."""
        where = f" on {self.host}" if self.host else ""
        return f"worker {self.index}{where}" + (f", log {self.log}" if self.log else "")
