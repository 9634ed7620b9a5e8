"""A search without training: scripted trials, and a keeper of the run's files in memory.

`ScriptedTraining` gives a trial's outcome and weights as a function of its lease alone, as real
training does. `Keeper` does what the policy actor does around one population: it writes completed
trials to the journal before it answers, commits closed rounds, deletes old checkpoints, and can
crash between any two of these, whereupon it starts again from what was written.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lfs_ray.search.messages import Checkpoint, Completed, Lease, Outcome, Verdict, WorkerId
from lfs_ray.search.population import Population
from lfs_ray.search.rounds import ClosedRound
from lfs_ray.search.searcher import Plan, Searcher, replay
from lfs_ray.seeds import derive_seed
from lfs_ray.trials.schema import RESULT_COLUMNS, column_names

Answer = TypeVar("Answer")
FAILURES = (
    Outcome(error="ValueError: scripted"),
    Outcome(reward=math.nan, train_loss=1.5),
    Outcome(reward=math.inf, train_loss=2.5),
)


@dataclass(frozen=True, kw_only=True)
class ScriptedTraining:
    """Outcomes and weights that depend on the lease alone; few reward levels give many ties."""

    seed: int
    levels: int = 4
    failures_percent: int = 0

    def outcome(self, lease: Lease) -> Outcome:
        """What every worker that trains this lease reports."""
        draw = derive_seed(self.seed, "outcome", self.weights(lease))
        if draw % 100 < self.failures_percent:
            return FAILURES[draw // 100 % len(FAILURES)]
        reward = (draw // 100 % self.levels) / self.levels
        return Outcome(
            reward=reward, reward_se=reward / 7, train_loss=math.sqrt(draw), costs={"worker": "w"}
        )

    def weights(self, lease: Lease) -> str:
        """Digest of the trained weights: of all that training reads."""
        parent = lease.parent.checkpoint.digest if lease.parent else str(lease.init_seed)
        momentum = lease.momentum.checkpoint.digest if lease.momentum else parent
        seeds = (lease.seed, lease.stream_seed)
        read = (parent, momentum, lease.round, lease.member, lease.theta, *seeds)
        return hashlib.sha256(repr(read).encode()).hexdigest()

    def checkpoint(self, lease: Lease) -> Checkpoint:
        """The stored result; its name contains the lease."""
        name = f"round{lease.round}-member{lease.member}-{lease.token}"
        return Checkpoint(name=name, size_bytes=1, digest=self.weights(lease))


class AnswerLost(Exception):
    """The keeper ended before its answer arrived."""


@dataclass
class Keeper:
    """The files of one population, and the population that lives between two crashes."""

    plan: Plan
    searcher: Searcher
    committed: list[ClosedRound] = field(default_factory=list)
    journal: dict[int, Completed] = field(default_factory=dict)
    """By member, as a file of the same name replaces the one before."""
    checkpoints: set[str] = field(default_factory=set)
    completions: list[Completed] = field(default_factory=list)
    """Everything that was ever complete, whether it was written down in time or not."""
    boots: int = 0
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new population from what was written."""
        self.boots += 1
        self._done: set[tuple[int, int]] = set()
        self.population = Population(self.plan, self.searcher, f"boot{self.boots}")
        if self.committed:
            states = replay(self.plan, self.searcher, [closed.rows for closed in self.committed])
            last = self.committed[-1]
            assert [state.digest() for state in states[1:]] == [
                closed.policy_state.digest() for closed in self.committed
            ]
            self.population.resume(states[-1], last.parent, last.own)
        self.population.adopt([entry for entry in self.journal.values() if self.is_whole(entry)])
        self._commit()

    def call(self, ask: Callable[[Population], Answer], dies_after: int | None = None) -> Answer:
        """Ask the population, write down, answer; or die after so many files were written."""
        answer = ask(self.population)
        completed = self.population.take_completed()
        self.completions += completed
        for entry in completed:
            assert (entry.round, entry.member) not in self._done, "complete twice"
            self._done.add((entry.round, entry.member))
        files = [entry for entry in completed if not entry.outcome.error]
        self.journal |= {entry.member: entry for entry in files[:dies_after]}
        if dies_after is None or dies_after > len(files):
            self._commit()
        if dies_after is not None:
            self.restart()
            raise AnswerLost
        return answer

    def is_whole(self, entry: Completed) -> bool:
        """Whether the checkpoint of a trial that has one is there."""
        return entry.checkpoint is None or entry.checkpoint.name in self.checkpoints

    def _commit(self) -> None:
        closed = self.population.closed()
        if closed is None:
            return
        self.committed.append(closed)
        kept = (closed.parent, *closed.own.values())
        self.checkpoints = {one.checkpoint.name for one in kept} & self.checkpoints
        self.journal = {}
        self.population.advance(closed)

    # ---- calls of workers

    def lease(self, worker: WorkerId, dies_after: int | None = None) -> Lease | None:
        """The lease that the worker holds, else a new one, else a second copy."""
        return self.call(
            lambda population: (
                population.held_by(worker)
                or population.lease(worker, self.now_s)
                or population.lease_copy(worker, self.now_s)
            ),
            dies_after,
        )

    def report(self, lease: Lease, outcome: Outcome, dies_after: int | None = None) -> Verdict:
        """Verdict on a trained trial."""
        return self.call(lambda it: it.report(lease, outcome, self.now_s), dies_after)

    def stored(
        self, lease: Lease, outcome: Outcome, checkpoint: Checkpoint, dies_after: int | None = None
    ) -> Verdict:
        """Confirmation of an upload, which stands in `checkpoints` already."""
        return self.call(lambda it: it.stored(lease, outcome, checkpoint), dies_after)

    def train(self, training: ScriptedTraining, worker: WorkerId) -> Lease | None:
        """One trial from lease to completion; None when there is none to lease."""
        lease = self.lease(worker)
        if lease is None:
            return None
        outcome = training.outcome(lease)
        if self.report(lease, outcome) is Verdict.KEEP:
            checkpoint = training.checkpoint(lease)
            self.checkpoints.add(checkpoint.name)
            self.stored(lease, outcome, checkpoint)
        return lease

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.population.finished or bool(self.population.stopped)

    def results(self) -> list[tuple[object, ...]]:
        """Round, weights selected and result columns of the committed trials; floats as bits."""
        names = column_names(self.searcher.space.names, RESULT_COLUMNS)
        return [
            (number, closed.parent.checkpoint.digest, *(as_bits(row[name]) for name in names))
            for number, closed in enumerate(self.committed)
            for row in closed.rows
        ]


def as_bits(value: object) -> object:
    """A value that is equal only to one of the same type and the same bits."""
    bits = struct.pack("<d", value) if isinstance(value, float) else value
    return type(value).__name__, bits


def run_undisturbed(plan: Plan, searcher: Searcher, training: ScriptedTraining) -> Keeper:
    """The run of one worker to which nothing happens."""
    keeper, worker = Keeper(plan, searcher), WorkerId(index=0, incarnation="only")
    while not keeper.over:
        assert keeper.train(training, worker) is not None, "nobody else could hold a trial"
    return keeper
