"""Any interleaving of leases, deaths, repeats, late calls and restarts gives the same results.

Hypothesis decides which worker does its next step, whose answer is lost, who dies with which of
its calls still on the way, when leases run out, and after how many files the keeper ends. Whatever
it does, the run must end, with the result columns and the weights of an undisturbed run.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scripted import AnswerLost, Keeper, ScriptedTraining, as_bits, run_undisturbed
from strategies import plans, searchers, trainings

from lfs_ray.search.messages import Lease, Verdict, WorkerId
from lfs_ray.search.searcher import Plan, Searcher

WORKERS = 3
INDEX = st.integers(0, WORKERS - 1)
DIES_AFTER = st.none() | st.none() | st.integers(0, 3)
LOST = st.sampled_from([False, False, True])


@dataclass
class Process:
    """A living worker: its lease, and whether it was told to keep that trial."""

    worker: WorkerId
    lease: Lease | None = None
    keeps: bool = False

    def drop(self) -> None:
        self.lease, self.keeps = None, False


@dataclass(frozen=True)
class Call:
    """A call that is on its way, perhaps from a worker that is dead."""

    kind: Literal["hello", "heartbeat", "report", "stored"]
    worker: WorkerId
    lease: Lease | None


def rank(reward: float, member: int) -> tuple[float, int]:
    return (-reward, member)


class Interleavings(RuleBasedStateMachine):
    """Workers, and the network between them and the keeper of one population."""

    @initialize(plan=plans(), searcher=searchers(), training=trainings())
    def open_run(self, plan: Plan, searcher: Searcher, training: ScriptedTraining) -> None:
        self.training = training
        self.undisturbed = run_undisturbed(plan, searcher, training)
        self.keeper = Keeper(plan, searcher)
        self.processes: dict[int, Process] = {}
        self.calls: list[Call] = []
        """Calls made, answered or not, of the living and the dead: any may arrive again."""
        self.starts = 0
        self.compared = 0

    # ---- steps of workers

    @rule(index=INDEX, dies_after=DIES_AFTER, lost=LOST)
    def work(self, index: int, dies_after: int | None = None, lost: bool = False) -> None:
        """A worker starts, or does its next call; with the answer lost it will repeat it."""
        self.keeper.now_s += 0.01
        process = self.processes.get(index)
        if process is None:
            return self._start(index)
        lease = process.lease
        try:
            if lease is None:
                answer: object = self.keeper.lease(process.worker, dies_after)
            else:
                kind: Literal["stored", "report"] = "stored" if process.keeps else "report"
                answer = self._send(Call(kind, process.worker, lease), dies_after)
        except AnswerLost:
            return None
        if lost:
            return None
        if lease is None:
            assert answer is None or isinstance(answer, Lease)
            process.lease = answer
        elif answer is Verdict.KEEP:
            process.keeps = True
        else:
            process.drop()
        return None

    @rule(order=st.binary(min_size=5, max_size=20))
    def work_undisturbed(self, order: bytes) -> None:
        """Many steps in any order of workers: with a fault at every other, no run gets far."""
        for byte in order:
            self.work(byte % WORKERS)

    def _start(self, index: int) -> None:
        self.starts += 1
        worker = WorkerId(index=index, incarnation=f"start{self.starts}")
        self.processes[index] = Process(worker)
        self._send(Call("hello", worker, None))

    @rule(index=INDEX)
    def beat(self, index: int) -> None:
        """A worker learns whether its lease still is its own."""
        process = self.processes.get(index)
        if process is None or process.lease is None:
            return
        if not self._send(Call("heartbeat", process.worker, process.lease)):
            process.drop()

    @rule(index=INDEX)
    def die(self, index: int) -> None:
        """A worker dies; the calls that it may have made last are on their way."""
        process = self.processes.pop(index, None)
        if process and process.lease:
            self.calls.append(Call("heartbeat", process.worker, process.lease))
            self.calls.append(Call("report", process.worker, process.lease))
        if process and process.keeps:
            self.calls.append(Call("stored", process.worker, process.lease))

    @rule(back=st.integers(1, 8), dies_after=DIES_AFTER)
    def arrive_late_or_twice(self, back: int, dies_after: int | None) -> None:
        with contextlib.suppress(AnswerLost):
            for call in self.calls[-back:][:1]:
                self._deliver(call, dies_after)

    @rule(index=INDEX)
    def die_before_eyes(self, index: int) -> None:
        """A worker dies, and who runs its process says so."""
        self.die(index)
        self.keeper.call(lambda population: population.lost(index))

    @rule(index=INDEX)
    def preempt(self, index: int) -> None:
        process = self.processes.pop(index, None)
        if process:
            self.keeper.call(lambda population: population.release(process.worker))

    def _send(self, call: Call, dies_after: int | None = None) -> object:
        self.calls.append(call)
        return self._deliver(call, dies_after)

    def _deliver(self, call: Call, dies_after: int | None = None) -> object:
        keeper, lease = self.keeper, call.lease
        if lease is None:
            return keeper.call(lambda it: it.hello(call.worker), dies_after)
        if call.kind == "heartbeat":
            return keeper.call(lambda it: it.heartbeat(lease, call.worker, keeper.now_s))
        outcome = self.training.outcome(lease)
        if call.kind == "stored":
            checkpoint = self.training.checkpoint(lease)
            keeper.checkpoints.add(checkpoint.name)
            return keeper.stored(lease, outcome, checkpoint, dies_after)
        expected = self._verdict_by_definition(lease, outcome.reward)
        verdict = keeper.report(lease, outcome, dies_after)
        assert expected in (None, verdict)
        return verdict

    def _verdict_by_definition(self, lease: Lease, reward: float) -> Verdict | None:
        """Keep what is better than every complete trial, or all where all are stored.

        None: this rule doesn't decide.
        """
        if lease.round != len(self.keeper.committed) or self.keeper.over:
            return Verdict.GONE
        trials = self.keeper.population._trials
        done = {
            trial.member: trial.outcome.reward
            for trial in trials
            if trial.state == "complete" and trial.outcome and not trial.outcome.error
        }
        if lease.member in done:
            return Verdict.DISCARD
        if not math.isfinite(reward):
            return None
        best = min((rank(other, member) for member, other in done.items()), default=None)
        is_best = best is None or rank(reward, lease.member) < best
        keeps = is_best or self.keeper.plan.stores_all(lease.round)
        return Verdict.KEEP if keeps else Verdict.DISCARD

    # ---- the world

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.keeper.now_s += seconds
        self.keeper.call(lambda population: population.expire(self.keeper.now_s))

    @rule(lost=st.sets(st.integers(0, 4), max_size=2))
    def restart(self, lost: set[int]) -> None:
        """With the files of some members gone, but never the parent's."""
        for member in lost & self.keeper.journal.keys():
            checkpoint = self.keeper.journal[member].checkpoint
            self.keeper.checkpoints -= {checkpoint.name} if checkpoint else set()
        self.keeper.restart()

    # ---- what must always hold

    @invariant()
    def one_trial_has_one_result(self) -> None:
        results: dict[tuple[int, int], object] = {}
        weights: dict[tuple[int, int], str] = {}
        for entry in self.keeper.completions:
            trial, outcome = (entry.round, entry.member), entry.outcome
            numbers = (outcome.reward, outcome.reward_se, outcome.train_loss)
            result = (*map(as_bits, numbers), bool(outcome.error))
            assert results.setdefault(trial, result) == result
            if entry.checkpoint:
                digest = entry.checkpoint.digest
                assert weights.setdefault(trial, digest) == digest

    @invariant()
    def what_is_not_stored_is_beaten_by_what_is(self) -> None:
        population = self.keeper.population
        done = [trial for trial in population._trials if trial.state == "complete"]
        stored = [trial.order() for trial in done if trial.checkpoint]
        for trial in done:
            assert trial.outcome
            may_be_beaten = not self.keeper.plan.stores_all(population.round)
            beaten = may_be_beaten and bool(stored) and min(stored) < trial.order()
            assert trial.checkpoint or trial.outcome.error or beaten

    @invariant()
    def the_journal_holds_what_is_complete(self) -> None:
        whole = {m for m, entry in self.keeper.journal.items() if self.keeper.is_whole(entry)}
        for trial in self.keeper.population._trials:
            if trial.state == "complete" and trial.outcome and not trial.outcome.error:
                assert trial.member in whole

    @invariant()
    def committed_rounds_are_those_of_an_undisturbed_run(self) -> None:
        committed = len(self.keeper.committed)
        if committed > self.compared:
            self.compared = committed
            rows, expected = self.keeper.results(), self.undisturbed.results()
            assert rows == [row for row in expected if row[0] in range(committed)]

    @invariant()
    def checkpoints_that_the_next_round_reads_are_there(self) -> None:
        if self.keeper.committed:
            last = self.keeper.committed[-1]
            parents = {one.checkpoint.name for one in (last.parent, *last.own.values())}
            assert parents <= self.keeper.checkpoints

    @invariant()
    def a_worker_holds_one_lease_at_most(self) -> None:
        trials = self.keeper.population._trials
        held = [hold.worker for trial in trials if trial.held for hold in trial.holds]
        known = [worker for worker in held if worker is not None]
        assert len(set(known)) == len(known)

    def teardown(self) -> None:
        """From wherever it is, the run ends when the living go on and nobody dies any more."""
        plan = self.keeper.plan
        for _ in range(20 + 10 * plan.rounds * plan.members * (plan.max_retries + 1)):
            if self.keeper.over:
                break
            # The dead stay dead, with what they held: it must run out.
            for index in list(self.processes) or [0]:
                self.work(index)
                self.beat(index)
            self.wait(4.0)
        assert self.keeper.over, "nothing moves any more"
        assert self.keeper.results() == self.undisturbed.results()
        assert self.keeper.population.stopped == self.undisturbed.population.stopped


Interleavings.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestInterleavings = Interleavings.TestCase
