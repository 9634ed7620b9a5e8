"""A population: the deterministic state machine that leases the trials of a round and closes it.

No clock, no files, no processes: time is an argument, calls are plain values, so that any
interleaving of leases, deaths, repeated calls and late reports can be played in a test. The caller
writes the completed trials down (`take_completed`) before it answers, and commits a closed round
before it calls `advance`. Protocol: the design's numbered steps.

Trials rank by (reward descending, member ascending). Whoever reports a trial first settles it,
even with a lease that ran out: a trial gives the same numbers wherever it is trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lfs_ray.search.lineage import Lineage
from lfs_ray.search.messages import (
    Checkpoint,
    Completed,
    Lease,
    Outcome,
    Parent,
    Verdict,
    WorkerId,
)
from lfs_ray.search.rounds import ClosedRound, close_round
from lfs_ray.search.searcher import Plan, Proposal, Searcher
from lfs_ray.search.state import PolicyState
from lfs_ray.search.trial import Trial, adoptable
from lfs_ray.seeds import derive_seed


class Population:
    """The members that share a policy and a parent, and their open round.

    Args:
        plan: lengths, seeds and limits.
        searcher: space, policy and reward shaping.
        boot: prefix of the lease tokens, unique to this start of the machine.
    """

    def __init__(self, plan: Plan, searcher: Searcher, boot: str) -> None:
        self.plan = plan
        self.searcher = searcher
        self.boot = boot
        self.stopped = ""
        self._lineage = Lineage()
        self.policy_state = searcher.initial_state()
        self._leases = 0
        self._completed: list[Completed] = []
        self._open_round(0)

    # ---- where it stands

    @property
    def finished(self) -> bool:
        """Whether every round is closed."""
        return self.round >= self.plan.rounds

    @property
    def parent(self) -> Parent | None:
        """The selected trial of the round before; None: there is none yet."""
        return self._lineage.winner

    @property
    def num_open(self) -> int:
        """Trials that could be leased now."""
        if self.finished or self.stopped:
            return 0
        return sum(trial.state == "open" for trial in self._trials)

    @property
    def num_complete(self) -> int:
        """Complete trials of the open round."""
        return sum(trial.state == "complete" for trial in self._trials)

    @property
    def proposal(self) -> Proposal:
        """Draws and thetas of the open round."""
        return self._proposal

    # ---- calls of workers

    def held_by(self, worker: WorkerId) -> Lease | None:
        """The lease this worker already holds, to be given again: an answer got lost."""
        for trial in self._trials:
            if trial.state == "leased" and trial.worker == worker:
                return self._lease_of(trial)
        return None

    def lease(self, worker: WorkerId, now_s: float) -> Lease | None:
        """Hand out an open trial, the worker's own index first; None when there is none."""
        if not self.num_open:
            return None
        trials = [trial for trial in self._trials if trial.state == "open"]
        trial = next((trial for trial in trials if trial.member == worker.index), trials[0])
        self._leases += 1
        trial.state, trial.worker = "leased", worker
        trial.token = f"{self.boot}-{self._leases}"
        trial.deadline_s = now_s + self.plan.lease_timeout_s
        trial.attempts += 1
        return self._lease_of(trial)

    def hello(self, worker: WorkerId) -> None:
        """A worker started: whatever an earlier incarnation of it held is lost."""
        for trial in self._held():
            held = trial.worker
            if held and held.index == worker.index and held.incarnation != worker.incarnation:
                self._lose(trial, f"worker {held.index} ended")

    def heartbeat(self, lease: Lease, worker: WorkerId, now_s: float) -> bool:
        """Prolong a lease; adopt a lost one (restart, long silence) if its trial is open."""
        trial = self._find(lease)
        if trial is None or trial.state == "complete":
            return False
        if trial.state == "open":
            if lease.token in trial.failed_tokens or self._holds(worker):
                return False
            trial.state, trial.token, trial.worker = "leased", lease.token, worker
            trial.attempts = max(trial.attempts, 1)
        if trial.token != lease.token:
            return False
        trial.deadline_s = now_s + self.plan.lease_timeout_s
        return True

    def report(self, lease: Lease, outcome: Outcome, now_s: float) -> Verdict:
        """Take a trial's outcome; a repeated call gets the same answer."""
        trial = self._find(lease)
        if trial is None:
            return Verdict.GONE
        if trial.state == "complete":
            return Verdict.DISCARD
        stale = trial.held and trial.token != lease.token
        if outcome.error or not math.isfinite(outcome.reward):
            # Somebody else tries again already, and his failure will count.
            return Verdict.GONE if stale else self._fail(trial, lease.token, outcome)
        if stale:
            trial.worker = None
        trial.outcome = outcome
        if not self._stores_all and trial.order() > self._best_key():
            self._complete(trial)
            return Verdict.DISCARD
        trial.state, trial.token = "kept", lease.token
        trial.deadline_s = now_s + self.plan.lease_timeout_s
        return Verdict.KEEP

    def stored(self, lease: Lease, outcome: Outcome, checkpoint: Checkpoint) -> Verdict:
        """Take the confirmation of a stored checkpoint; it repeats the whole report."""
        trial = self._find(lease)
        if trial is None:
            return Verdict.GONE
        if trial.state == "complete":
            return Verdict.DISCARD
        trial.outcome, trial.checkpoint = outcome, checkpoint
        self._complete(trial)
        for other in () if self._stores_all else self._trials:
            if other.state == "kept" and other.order() > trial.order():
                self._complete(other)
        return Verdict.DISCARD

    def release(self, worker: WorkerId) -> None:
        """A worker gives its lease back (preemption): not counted as a loss."""
        for trial in self._held():
            if trial.worker == worker:
                trial.free()

    def expire(self, now_s: float) -> None:
        """Free the leases without a sign of life for too long."""
        for trial in self._held():
            if trial.deadline_s < now_s:
                self._lose(trial, f"no sign of life for {self.plan.lease_timeout_s:g} s")

    # ---- calls of the keeper of the run's files

    def take_completed(self) -> list[Completed]:
        """Trials completed since the last call; to be written down before anything is answered.

        Their order may be cut anywhere: a stored one comes before those discarded because of it.
        """
        taken, self._completed = self._completed, []
        return taken

    def adopt(self, completed: Sequence[Completed]) -> None:
        """Take back complete trials of the open round after a restart."""
        here = range(len(self._trials))
        of_round = [one for one in completed if one.round == self.round and one.member in here]
        for trial in adoptable(of_round, all_stored=self._stores_all):
            self._trials[trial.member] = trial

    def closed(self) -> ClosedRound | None:
        """The round's rows and the policy after it, once all its trials are complete.

        When none survived, `stopped` says why and nothing closes.
        """
        if self.finished or any(trial.state != "complete" for trial in self._trials):
            return None
        best = min(self._trials, key=Trial.order)
        if best.checkpoint is None:
            self._stop()
            return None
        return close_round(
            self.plan,
            self.searcher,
            self.policy_state,
            self._proposal,
            [self._weights_of(trial) for trial in self._trials],
            [trial.completed(self.round) for trial in self._trials],
            selected=best.member,
        )

    def advance(self, closed: ClosedRound) -> None:
        """Open the next round; the closed one is committed."""
        self.resume(closed.policy_state, closed.parent, closed.own)

    def resume(self, state: PolicyState, parent: Parent, own: Mapping[int, Parent]) -> None:
        """Open the round after `parent`'s, the policy in the state that the replay gave.

        Args:
            own: as in `ClosedRound`.
        """
        self.policy_state, self._lineage = state, Lineage(winner=parent, own=own)
        self._open_round(parent.round + 1)

    # ---- inside

    @property
    def _stores_all(self) -> bool:
        return self.plan.stores_all(self.round)

    def _open_round(self, number: int) -> None:
        self.round = number
        self._proposal = self.searcher.propose(self.policy_state, self.plan, number)
        self._trials = [Trial(member=member) for member in range(self._proposal.size)]

    def _held(self) -> list[Trial]:
        return [trial for trial in self._trials if trial.held]

    def _holds(self, worker: WorkerId) -> bool:
        return any(trial.worker == worker for trial in self._held())

    def _find(self, lease: Lease) -> Trial | None:
        if self.stopped or self.finished or lease.round != self.round:
            return None
        return self._trials[lease.member] if 0 <= lease.member < len(self._trials) else None

    def _best_key(self) -> tuple[float, int]:
        done = (trial.order() for trial in self._trials if trial.state == "complete")
        return min(done, default=(math.inf, -1))

    def _weights_of(self, trial: Trial) -> Parent | None:
        return self._lineage.weights(self.plan, self.round, trial.member)

    def _lease_of(self, trial: Trial) -> Lease:
        plan = self.plan
        return Lease(
            population=plan.name,
            round=self.round,
            member=trial.member,
            token=trial.token,
            theta=self._proposal.thetas[trial.member],
            seed=plan.trial_seed(self.round, trial.member),
            stream_seed=derive_seed(plan.seed, "stream", *plan.own(trial.member)),
            init_seed=plan.init_seed(trial.member),
            parent=self._weights_of(trial),
            momentum=self._lineage.momentum(plan, self.round, trial.member),
        )

    def _fail(self, trial: Trial, token: str, outcome: Outcome) -> Verdict:
        trial.failed_tokens.add(token)
        if len(trial.failed_tokens) > self.plan.max_retries:
            error = outcome.error or f"reward must be finite, got {outcome.reward}"
            trial.outcome = replace(outcome, reward=math.nan, reward_se=math.nan, error=error)
            self._complete(trial)
        else:
            trial.free()
        return Verdict.DISCARD

    def _lose(self, trial: Trial, reason: str) -> None:
        trial.losses += 1
        if trial.losses < self.plan.max_losses_per_trial:
            trial.free()
            return
        trial.outcome = Outcome(error=f"its process was lost {trial.losses} times, last: {reason}")
        self._complete(trial)

    def _complete(self, trial: Trial) -> None:
        trial.state, trial.worker, trial.deadline_s = "complete", None, math.inf
        self._completed.append(trial.completed(self.round))

    def _stop(self) -> None:
        first = self._trials[0].outcome
        self.stopped = (
            f"at least one member of round {self.round} of population {self.plan.name} must "
            f"survive, all {len(self._trials)} failed (member 0: "
            f"{first.error if first else 'unknown'}): correct the cause and resume"
        )
