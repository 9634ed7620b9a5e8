"""A trial of the open round as its population sees it: who trains it, and what came of it.

Mutable, and held by one population alone. A trial is open (nobody trains it), leased, kept
(reported as the best so far, its checkpoint on the way) or complete.
"""

from __future__ import annotations

import math
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
