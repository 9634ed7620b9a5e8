"""A trial of the open round as its population sees it: who trains it, and what came of it.

Mutable, and held by one population alone. A trial is open (nobody trains it), leased, kept
(reported as the best so far, its checkpoint on the way) or complete.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lfs_ray.search.messages import Checkpoint, Completed, Outcome, WorkerId


@dataclass(slots=True)
class Trial:
    """One member of the open round."""

    member: int
    state: Literal["open", "leased", "kept", "complete"] = "open"
    token: str = ""
    worker: WorkerId | None = None
    deadline_s: float = math.inf
    attempts: int = 0
    losses: int = 0
    failed_tokens: set[str] = field(default_factory=set)
    outcome: Outcome | None = None
    checkpoint: Checkpoint | None = None

    @property
    def held(self) -> bool:
        """Whether a worker is busy with it."""
        return self.state in ("leased", "kept")

    def order(self) -> tuple[float, int]:
        """Sorts better trials first, the lower member first among equals; failed ones last."""
        reward = self.outcome.reward if self.outcome else math.nan
        return (-reward if math.isfinite(reward) else math.inf, self.member)

    def free(self) -> None:
        """Open it again."""
        self.state, self.token, self.worker, self.deadline_s = "open", "", None, math.inf

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
