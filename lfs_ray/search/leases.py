"""Who trains which trial of the open round: leases handed out, prolonged, given back and lost.

Held by one population, which says what a report means; here is only who is busy with what. A trial
has one lease, or two while a backup copy runs: then whichever is complete first settles it, since
a trial gives the same numbers wherever it is trained.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

from lfs_ray.search.messages import WorkerId
from lfs_ray.search.searcher import Plan
from lfs_ray.search.trial import Hold, Trial

BACKUP_AFTER = 1.5
"""A trial gets a second copy when it has run for so many times the median of finished ones."""
_TIMES_KEPT = 64

Held = tuple[Trial, Hold]


class Leases:
    """Leases of one population.

    Args:
        plan: its lengths and limits.
        boot: prefix of the tokens, unique to this start of the machine.
    """

    def __init__(self, plan: Plan, boot: str) -> None:
        self._plan, self._boot = plan, boot
        self._count = 0
        self._times_s: list[float] = []
        self._trials: Sequence[Trial] = ()

    def open(self, trials: Sequence[Trial]) -> None:
        """From now on these are the trials of the open round."""
        self._trials = trials

    # ---- handing out

    def held_by(self, worker: WorkerId) -> Held | None:
        """The trial that a worker trains: its answer got lost."""
        return next(self._held(lambda hold: hold.worker == worker, "leased"), None)

    def hand_out(self, worker: WorkerId, now_s: float) -> Held | None:
        """An open trial, the worker's own index first; None when there is none."""
        trials = [trial for trial in self._trials if trial.state == "open"]
        if not trials:
            return None
        trial = next((trial for trial in trials if trial.member == worker.index), trials[0])
        return trial, self._take(trial, worker, now_s)

    def hand_out_copy(self, worker: WorkerId, now_s: float) -> Held | None:
        """The trial that runs the longest, once more, if it is late and has no second copy yet."""
        if not self._times_s or self._is_busy(worker):
            return None
        late_s = BACKUP_AFTER * statistics.median(self._times_s)
        alone = [
            trial
            for trial in self._trials
            if trial.state == "leased"
            and len(trial.holds) == 1
            and now_s - trial.holds[0].since_s > late_s
        ]
        if not alone:
            return None
        trial = min(alone, key=lambda trial: trial.holds[0].since_s)
        return trial, self._take(trial, worker, now_s)

    def _take(self, trial: Trial, worker: WorkerId, now_s: float) -> Hold:
        self._count += 1
        hold = self._new(f"{self._boot}-{self._count}", worker, now_s)
        trial.attempts += 1
        trial.take(hold)
        return hold

    def _new(self, token: str, worker: WorkerId | None, now_s: float) -> Hold:
        deadline_s = now_s + self._plan.lease_timeout_s
        return Hold(token=token, worker=worker, since_s=now_s, deadline_s=deadline_s)

    # ---- signs of life

    def heartbeat(self, trial: Trial, token: str, worker: WorkerId, now_s: float) -> bool:
        """Prolong a lease; adopt a lost one (restart, long silence) if its trial is open."""
        hold = trial.hold_of(token)
        if hold is not None:
            beat = Hold(
                token=token,
                worker=worker,
                since_s=hold.since_s,
                deadline_s=now_s + self._plan.lease_timeout_s,
            )
            trial.prolong(hold, beat)
            return True
        known_ended = token in trial.failed_tokens or token in trial.ended_tokens
        if trial.state != "open" or known_ended or self._is_busy(worker):
            return False
        trial.attempts = max(trial.attempts, 1)
        trial.take(self._new(token, worker, now_s))
        return True

    def settle(self, trial: Trial, token: str, now_s: float) -> None:
        """A report has come: this lease goes on to store, the others are settled by it."""
        hold = trial.hold_of(token)
        if hold is not None and trial.state == "leased":
            self._times_s = [*self._times_s, now_s - hold.since_s][-_TIMES_KEPT:]
        worker = hold.worker if hold else None
        trial.keep(self._new(token, worker, now_s))

    # ---- ends

    def release(self, worker: WorkerId) -> None:
        """A worker gives back what it holds: no loss."""
        for trial, hold in list(self._held(lambda hold: hold.worker == worker)):
            trial.ended_tokens.add(hold.token)
            trial.drop(hold)

    def lose(self, index: int, spared: str = "") -> list[Trial]:
        """The processes of a worker are dead, but for its incarnation `spared`; their trials."""
        return self._lose(
            lambda hold: (
                hold.worker is not None
                and hold.worker.index == index
                and hold.worker.incarnation != spared
            ),
            dead=True,
        )

    def runs_out(self, now_s: float) -> bool:
        """Whether there is something to expire."""
        return any(True for _ in self._held(lambda hold: hold.deadline_s < now_s))

    def expire(self, now_s: float) -> list[Trial]:
        """Leases without a sign of life for too long are lost; their trials."""
        return self._lose(lambda hold: hold.deadline_s < now_s, dead=False)

    def _lose(self, is_lost: Callable[[Hold], bool], *, dead: bool) -> list[Trial]:
        lost = list(self._held(is_lost))
        for trial, hold in lost:
            if dead:
                trial.ended_tokens.add(hold.token)
            trial.losses.append(hold.worker)
            trial.drop(hold)
        return [trial for trial, _ in lost]

    # ---- inside

    def _held(self, is_meant: Callable[[Hold], bool], *states: str) -> Iterator[Held]:
        for trial in self._trials:
            if trial.held and (not states or trial.state in states):
                yield from ((trial, hold) for hold in list(trial.holds) if is_meant(hold))

    def _is_busy(self, worker: WorkerId) -> bool:
        return any(True for _ in self._held(lambda hold: hold.worker == worker))
