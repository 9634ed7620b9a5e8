"""A trial of the open round as its population sees it: who trains it, and what came of it.

Mutable, and held by one population alone. A trial is open (nobody trains it), leased (one worker
does, or two where a backup copy runs), kept (reported as the best so far, its checkpoint on the
way) or complete.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lfs_ray.search.messages import Checkpoint, Completed, Outcome, WorkerId

State = Literal["open", "leased", "kept", "complete"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """One handing out of a trial: a worker is busy with it."""

    token: str
    worker: WorkerId | None
    """None: a late report of a lease that had run out."""
    since_s: float
    deadline_s: float
    """Without a sign of life until then, the lease runs out."""


@dataclass(slots=True)
class Trial:
    """One member of the open round."""

    member: int
    state: State = "open"
    holds: list[Hold] = field(default_factory=list)
    attempts: int = 0
    losses: list[WorkerId | None] = field(default_factory=list)
    """Who lost it: processes that died, or gave no sign of life."""
    failed_tokens: set[str] = field(default_factory=set)
    """Leases that ended with an exception."""
    ended_tokens: set[str] = field(default_factory=set)
    """Leases given back, or of processes known to be dead: they are never adopted again."""
    outcome: Outcome | None = None
    checkpoint: Checkpoint | None = None

    @property
    def held(self) -> bool:
        """Whether a worker is busy with it."""
        return self.state in ("leased", "kept")

    def hold_of(self, token: str) -> Hold | None:
        """The hold of a lease, None where it ran out or was settled by another one."""
        return next((hold for hold in self.holds if hold.token == token), None)

    def take(self, hold: Hold) -> None:
        """A worker trains it from now on."""
        self.state = "leased"
        self.holds.append(hold)

    def keep(self, hold: Hold) -> None:
        """Its checkpoint is on the way, by this worker; what others do about it is no matter."""
        self.state, self.holds = "kept", [hold]

    def drop(self, hold: Hold) -> None:
        """A worker trains it no more; open again when no other one does."""
        self.holds.remove(hold)
        if not self.holds:
            self.state = "open"

    def prolong(self, hold: Hold, beat: Hold) -> None:
        """The same lease with a later deadline."""
        self.holds[self.holds.index(hold)] = beat

    def num_losses(self, lost_nodes: Collection[str]) -> int:
        """Losses that count: a process that died with its node is no fault of the trial."""
        return sum(
            not (worker and worker.node and worker.node in lost_nodes) for worker in self.losses
        )

    def order(self) -> tuple[float, int]:
        """Sorts better trials first, the lower member first among equals; failed ones last."""
        reward = self.outcome.reward if self.outcome else math.nan
        return (-reward if math.isfinite(reward) else math.inf, self.member)

    def completed(self, number: int) -> Completed:
        """What is written down of it, `number` being its round."""
        assert self.outcome is not None
        return Completed(
            round=number,
            member=self.member,
            # 0 when its lease was handed out before a restart of the machine.
            attempts=max(self.attempts, 1),
            outcome=self.outcome,
            checkpoint=self.checkpoint,
        )


def lost_outcome(last: WorkerId | None, count: int) -> Outcome:
    """What is said of a trial that lost too many processes; the last one is named."""
    place = last.place() if last else "an unknown worker"
    costs = {"worker": f"{last.index}", "host": last.host} if last else {}
    return Outcome(error=f"its process was lost {count} times, last: {place}", costs=costs)


def adoptable(completed: Sequence[Completed], *, all_stored: bool) -> list[Trial]:
    """Those of a round's written trials that count after a restart, complete.

    A trial without a checkpoint counts only when a better one with a checkpoint is there: else it
    is trained again, since what it was discarded for is lost. Where all trials are stored it never
    counts. A failed one is tried again.
    """
    found = [_complete(entry) for entry in completed if not entry.outcome.error]
    stored = [trial for trial in found if trial.checkpoint is not None]
    best = min(map(Trial.order, stored), default=None)
    if all_stored or best is None:
        return stored
    return [trial for trial in found if trial.order() >= best]


def _complete(entry: Completed) -> Trial:
    return Trial(
        member=entry.member,
        state="complete",
        attempts=entry.attempts,
        outcome=entry.outcome,
        checkpoint=entry.checkpoint,
    )
