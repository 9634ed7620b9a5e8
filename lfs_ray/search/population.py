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
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from lfs_ray.search.leases import Leases
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
from lfs_ray.search.trial import Hold, Trial, adoptable, lost_outcome
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
        self.stopped = ""
        self._lineage = Lineage()
        self.policy_state = searcher.initial_state()
        self._leases = Leases(plan, boot)
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
        held = self._leases.held_by(worker)
        return self._lease_of(*held) if held else None

    def lease(self, worker: WorkerId, now_s: float) -> Lease | None:
        """Hand out an open trial, the worker's own index first; None when there is none."""
        held = self._leases.hand_out(worker, now_s) if self.num_open else None
        return self._lease_of(*held) if held else None

    def lease_copy(self, worker: WorkerId, now_s: float) -> Lease | None:
        """Hand out a second copy of the slowest trial (backup trials); None when none is late.

        For a worker that no population has an open trial for.
        """
        if self.finished or self.stopped or not self.plan.backup_trials:
            return None
        held = self._leases.hand_out_copy(worker, now_s)
        return self._lease_of(*held) if held else None

    def heartbeat(self, lease: Lease, worker: WorkerId, now_s: float) -> bool:
        """Prolong a lease; adopt a lost one (restart, long silence) if its trial is open."""
        trial = self._find(lease)
        if trial is None or trial.state == "complete":
            return False
        return self._leases.heartbeat(trial, lease.token, worker, now_s)

    def hello(self, worker: WorkerId, lost_nodes: Collection[str] = ()) -> None:
        """A worker started: whatever an earlier incarnation of it held is lost.

        Args:
            lost_nodes: nodes known to be dead; processes that died with theirs don't count.
        """
        self._count_losses(self._leases.lose(worker.index, worker.incarnation), lost_nodes)

    def lost(self, index: int, lost_nodes: Collection[str] = ()) -> None:
        """The process of a worker is dead, and no other one of its index has started."""
        self._count_losses(self._leases.lose(index), lost_nodes)

    def runs_out(self, now_s: float) -> bool:
        """Whether a lease has had no sign of life for too long."""
        return self._leases.runs_out(now_s)

    def expire(self, now_s: float, lost_nodes: Collection[str] = ()) -> None:
        """Free the leases without a sign of life for too long."""
        self._count_losses(self._leases.expire(now_s), lost_nodes)

    def release(self, worker: WorkerId) -> None:
        """A worker gives its lease back (preemption): not counted as a loss."""
        self._leases.release(worker)

    def report(self, lease: Lease, outcome: Outcome, now_s: float) -> Verdict:
        """Take a trial's outcome; a repeated call gets the same answer."""
        trial = self._find(lease)
        if trial is None:
            return Verdict.GONE
        if trial.state == "complete":
            return Verdict.DISCARD
        if outcome.error or not math.isfinite(outcome.reward):
            # Somebody else tries again already, and his failure will count.
            stale = trial.held and trial.hold_of(lease.token) is None
            return Verdict.GONE if stale else self._fail(trial, lease.token, outcome)
        trial.outcome = outcome
        self._leases.settle(trial, lease.token, now_s)
        if not self._stores_all and trial.order() > self._best_key():
            self._complete(trial)
            return Verdict.DISCARD
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
        self._leases.open(self._trials)

    def _find(self, lease: Lease) -> Trial | None:
        if self.stopped or self.finished or lease.round != self.round:
            return None
        return self._trials[lease.member] if 0 <= lease.member < len(self._trials) else None

    def _best_key(self) -> tuple[float, int]:
        done = (trial.order() for trial in self._trials if trial.state == "complete")
        return min(done, default=(math.inf, -1))

    def _weights_of(self, trial: Trial) -> Parent | None:
        return self._lineage.weights(self.plan, self.round, trial.member)

    def _lease_of(self, trial: Trial, hold: Hold) -> Lease:
        plan = self.plan
        return Lease(
            population=plan.name,
            round=self.round,
            member=trial.member,
            token=hold.token,
            theta=self._proposal.thetas[trial.member],
            seed=plan.trial_seed(self.round, trial.member),
            stream_seed=derive_seed(plan.seed, "stream", *plan.own(trial.member)),
            init_seed=plan.init_seed(trial.member),
            parent=self._weights_of(trial),
            momentum=self._lineage.momentum(plan, self.round, trial.member),
        )

    def _fail(self, trial: Trial, token: str, outcome: Outcome) -> Verdict:
        """A lease ended with an exception; a second copy of its trial goes on."""
        trial.failed_tokens.add(token)
        hold = trial.hold_of(token)
        if hold is not None:
            trial.drop(hold)
        if len(trial.failed_tokens) > self.plan.max_retries:
            error = outcome.error or f"reward must be finite, got {outcome.reward}"
            trial.outcome = replace(outcome, reward=math.nan, reward_se=math.nan, error=error)
            self._complete(trial)
        return Verdict.DISCARD

    def _count_losses(self, lost: Iterable[Trial], lost_nodes: Collection[str]) -> None:
        """Fail the trials that lost too many processes and that nobody trains any more."""
        for trial in lost:
            count = trial.num_losses(lost_nodes)
            if trial.state == "open" and count >= self.plan.max_losses_per_trial:
                trial.outcome = lost_outcome(trial.losses[-1], count)
                self._complete(trial)

    def _complete(self, trial: Trial) -> None:
        trial.state, trial.holds = "complete", []
        self._completed.append(trial.completed(self.round))

    def _stop(self) -> None:
        first = self._trials[0].outcome
        self.stopped = (
            f"at least one member of round {self.round} of population {self.plan.name} must "
            f"survive, all {len(self._trials)} failed (member 0: "
            f"{first.error if first else 'unknown'}): correct the cause and resume"
        )
