"""The keeper of a run: all populations, their files, and what a worker is told.

Serial runs call it directly; on Ray it lives in the policy actor. It doesn't import torch or ray.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from lfs_ray.config.sections import Config
from lfs_ray.errors import RunError
from lfs_ray.execution.blueprint import build_populations
from lfs_ray.execution.clock import ListeningClock
from lfs_ray.execution.run_files import RunFiles
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, Verdict, WorkerId
from lfs_ray.search.population import Population
from lfs_ray.search.searcher import replay
from lfs_ray.storage import Storage

_HEARTBEATS_APART = 2.0
"""Heartbeats of a worker that may fall into a gap in which the keeper hears nothing at all."""
_ON_THE_WAY_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a worker is to do next."""

    kind: Literal["train", "store", "wait", "done"]
    lease: Lease | None = None
    """The trial to train."""
    reason: str = ""
    """Why the search stopped before its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a population stands, for displays."""

    population: str
    method: str
    round: int
    rounds: int
    complete: int
    members: int
    reward: float
    """Reward of the last closed round's selected trial; NaN before."""
    margin: float
    """Margin that the policy's mean stands for."""
    std: float
    """Deviation of the policy's first component; NaN for a hand-made loss."""


def no_nodes() -> Collection[str]:
    """Nodes known to be dead, where there are no nodes."""
    return ()


class Coordinator:
    """Leases, reports, commits.

    Args:
        config: a resolved configuration.
        epoch_images: images of the training set.
        storage: the run directory.
        generation: the driver's.
        now_s: a clock that never goes back.
        lost_nodes: asks for the nodes known to be dead.
        restarted: this keeper follows one that died: workers may hold leases that it gave. They
            get time to say so before anything is leased, else their trials would be trained twice.

    Raises:
        RunError: the run's files don't fit its configuration.
    """

    def __init__(
        self,
        config: Config,
        epoch_images: int,
        storage: Storage,
        generation: int,
        *,
        now_s: Callable[[], float] = time.monotonic,
        lost_nodes: Callable[[], Collection[str]] = no_nodes,
        restarted: bool = False,
    ) -> None:
        boot = f"g{generation:06d}.{uuid.uuid4().hex[:8]}"
        self.populations = build_populations(config, epoch_images, boot=boot)
        self.files = {
            name: RunFiles(
                storage,
                name,
                generation,
                population.searcher.space.names,
                keep_last=config.storage.keep_last,
                compact_rounds=config.storage.compact_rounds,
            )
            for name, population in self.populations.items()
        }
        heartbeat_s = config.worker.heartbeat_s
        self._clock = ListeningClock(_HEARTBEATS_APART * heartbeat_s, now_s)
        self._leases_from_s = heartbeat_s + _ON_THE_WAY_S if restarted else 0.0
        self._lost_nodes = lost_nodes
        self._left: set[WorkerId] = set()
        self._rewards: dict[str, float] = {}
        self._failure = ""
        for name, population in self.populations.items():
            self._restore(population, self.files[name])

    @property
    def finished(self) -> bool:
        """Whether every round of every population is committed."""
        return all(population.finished for population in self.populations.values())

    @property
    def stopped(self) -> str:
        """Why the search cannot go on, empty while it can."""
        populations = self.populations.values()
        return self._failure or next((one.stopped for one in populations if one.stopped), "")

    @property
    def notices(self) -> list[str]:
        """What of the run's files is damaged and was left out, one line each."""
        return [line for files in self.files.values() for line in files.notices]

    def hello(self, worker: WorkerId) -> None:
        """A worker started; what its earlier incarnation held is free."""
        lost_nodes = self._lost_nodes()
        for population in self.populations.values():
            population.hello(worker, lost_nodes)
            self._settle(population)

    def lost(self, index: int) -> None:
        """The process of a worker is dead; what it held is free."""
        lost_nodes = self._lost_nodes()
        for population in self.populations.values():
            population.lost(index, lost_nodes)
            self._settle(population)

    def lease(self, worker: WorkerId) -> Reply:
        """The next trial: of the oldest open round of any population."""
        if self.stopped:
            return Reply(kind="done", reason=self.stopped)
        if self.finished or worker in self._left:
            return Reply(kind="done")
        self._expire()
        lease = self._lease(worker, self._clock())
        return Reply(kind="train", lease=lease) if lease else Reply(kind="wait")

    def _expire(self) -> None:
        """Free the leases without a sign of life."""
        now_s = self._clock()
        if any(population.runs_out(now_s) for population in self.populations.values()):
            lost_nodes = self._lost_nodes()
            for population in self.populations.values():
                population.expire(now_s, lost_nodes)
                self._settle(population)

    def _lease(self, worker: WorkerId, now_s: float) -> Lease | None:
        """What the worker holds already, else an open trial, else a second copy of a late one."""
        populations = sorted(self.populations.values(), key=lambda one: one.round)
        held = (population.held_by(worker) for population in populations)
        lease = next((lease for lease in held if lease), None)
        if lease or now_s < self._leases_from_s:
            return lease
        opened = (population.lease(worker, now_s) for population in populations)
        copied = (population.lease_copy(worker, now_s) for population in populations)
        return next((lease for lease in chain(opened, copied) if lease), None)

    def report(self, worker: WorkerId, lease: Lease, outcome: Outcome) -> Reply:
        """Take an outcome; answers with "store", or with the next trial at once."""
        population = self.populations[lease.population]
        verdict = population.report(lease, outcome, self._clock())
        self._settle(population)
        if verdict is Verdict.KEEP:
            return Reply(kind="store", lease=lease)
        return self.lease(worker)

    def stored(
        self, worker: WorkerId, lease: Lease, outcome: Outcome, checkpoint: Checkpoint
    ) -> Reply:
        """Take the confirmation of a stored checkpoint; answers with the next trial."""
        population, files = self.populations[lease.population], self.files[lease.population]
        if not files.is_whole(checkpoint):
            return self.abandon(
                worker,
                lease,
                f"a stored checkpoint must be visible to the policy actor, "
                f"{files.storage.path(checkpoint.name)} is not there or is cut off: use a run "
                f"directory that every node reaches",
            )
        verdict = population.stored(lease, outcome, checkpoint)
        self._settle(population)
        if verdict is Verdict.GONE:
            # Its round closed during the upload; without this the last round's would stay.
            files.tidy()
        return self.lease(worker)

    def abandon(self, worker: WorkerId, lease: Lease, reason: str) -> Reply:
        """Stop the search: the run's files fail a worker whose lease still counts."""
        if self.heartbeat(worker, lease):
            self._failure = self._failure or self._cause(self.files[lease.population], reason)
        return self.lease(worker)

    def _cause(self, files: RunFiles, reason: str) -> str:
        """Why files fail: a newer driver deletes what it doesn't need itself."""
        try:
            files.check_newest()
        except RunError as error:
            return str(error)
        return reason

    def heartbeat(self, worker: WorkerId, lease: Lease) -> bool:
        """A sign of life; False: the lease is gone."""
        now_s = self._clock()
        if worker in self._left:
            return False
        return self.populations[lease.population].heartbeat(lease, worker, now_s)

    def release(self, worker: WorkerId) -> None:
        """A worker gives back what it holds, and gets nothing more: its process is to end."""
        self._left.add(worker)
        for population in self.populations.values():
            population.release(worker)

    def standings(self) -> list[Standing]:
        """Where every population stands."""
        self._clock()
        return [self._standing(population) for population in self.populations.values()]

    def _settle(self, population: Population) -> None:
        """Write completed trials down, and commit the round when it closes."""
        files = self.files[population.plan.name]
        try:
            for completed in population.take_completed():
                files.write_journal(completed)
            closed = population.closed()
            if closed is None or self._failure:
                return
            files.commit(closed)
        except (RunError, OSError) as error:
            # A newer driver, or storage that takes no files: said to the workers and the driver
            # as the reason to end, and not tried again; a resume trains what was not written.
            self._failure = str(error)
            return
        finally:
            self._clock.skip()
        self._note(population, closed.rows)
        population.advance(closed)

    def _restore(self, population: Population, files: RunFiles) -> None:
        """Fold the committed rounds into the policy and take back the open round's trials."""
        rounds = files.committed()
        if rounds:
            states = replay(population.plan, population.searcher, [one.rows for one in rounds])
            for one, state in zip(rounds, states[1:], strict=True):
                if state.digest() != one.metadata["policy_digest"]:
                    raise RunError(
                        f"the policy after round {one.number} of population "
                        f"{population.plan.name} must have digest "
                        f"{one.metadata['policy_digest'][:12]}, found {state.digest()[:12]}: "
                        f"config.toml or the table was changed"
                    )
            last = rounds[-1]
            population.resume(states[-1], files.parent_of(last), files.own_of(last))
            self._note(population, last.rows)
        if not population.finished:
            population.adopt(files.read_journal(population.round))
            self._settle(population)

    def _note(self, population: Population, rows: Iterable[Mapping[str, object]]) -> None:
        reward = next(row["reward"] for row in rows if row["selected"])
        assert isinstance(reward, float)
        self._rewards[population.plan.name] = reward

    def _standing(self, population: Population) -> Standing:
        plan, state = population.plan, population.policy_state
        return Standing(
            population=plan.name,
            method=population.searcher.method,
            round=population.round,
            rounds=plan.rounds,
            complete=0 if population.finished else population.num_complete,
            members=plan.members,
            reward=self._rewards.get(plan.name, float("nan")),
            margin=population.searcher.margin_of(state),
            std=state.std[0] if state.std else float("nan"),
        )
