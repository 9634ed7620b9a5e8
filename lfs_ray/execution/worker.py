"""A worker's loop: lease, train, report, store when told to, until the search is done.

The same loop serves the serial executor (the desk is the coordinator itself) and Ray (the desk
calls the policy actor). A failing trial is a result, not an exception.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Protocol

from lfs_ray.errors import RunError
from lfs_ray.execution.coordinator import Reply
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, WorkerId

_WAIT_S = 0.05


class Desk(Protocol):
    """Where a worker gets its trials; every call may be repeated."""

    def hello(self, worker: WorkerId) -> None:
        """A worker started."""

    def lease(self, worker: WorkerId) -> Reply:
        """The next trial."""

    def report(self, worker: WorkerId, lease: Lease, outcome: Outcome) -> Reply:
        """Report an outcome; "store", or the next trial."""

    def stored(
        self, worker: WorkerId, lease: Lease, outcome: Outcome, checkpoint: Checkpoint
    ) -> Reply:
        """Confirm a stored checkpoint; the next trial."""

    def abandon(self, worker: WorkerId, lease: Lease, reason: str) -> Reply:
        """The run's files fail, not the trial: the search stops, if the lease still counts."""


class Runner(Protocol):
    """What trains: real, or a stand-in for tests and benchmarks."""

    def train(self, lease: Lease) -> Outcome:
        """Train and score a trial; raises where it cannot be completed."""

    def store(self, lease: Lease) -> Checkpoint:
        """Store the state that the last trial ended with."""


Reporter = Callable[[Lease, Outcome], None]


def trials(
    desk: Desk, runner: Runner, worker: WorkerId
) -> Generator[tuple[Lease, Outcome], None, str]:
    """Train trials until the search is done.

    Args:
        desk: where trials come from.
        runner: what trains them.
        worker: who asks.

    Yields:
        Every finished trial, after the desk was told.

    Returns:
        Why the search stopped before its end; empty: it didn't.
    """
    desk.hello(worker)
    reply = desk.lease(worker)
    while reply.kind != "done":
        if reply.kind == "wait" or reply.lease is None:
            time.sleep(_WAIT_S)
            reply = desk.lease(worker)
            continue
        lease = reply.lease
        try:
            reply, outcome = _train(desk, runner, worker, lease)
        except RunError as error:
            reply = desk.abandon(worker, lease, str(error))
            continue
        yield lease, outcome
    return reply.reason


def work(desk: Desk, runner: Runner, worker: WorkerId, report: Reporter) -> str:
    """`trials` to their end, each one reported; why the search stopped, empty where it didn't."""
    under_way = trials(desk, runner, worker)
    while True:
        try:
            report(*next(under_way))
        except StopIteration as end:
            return str(end.value)


def _train(desk: Desk, runner: Runner, worker: WorkerId, lease: Lease) -> tuple[Reply, Outcome]:
    """Train a trial, report it, store it when told to.

    Raises:
        RunError: the run's files can't be read or written: no fault of the trial's theta.
    """
    outcome = _attempt(runner, lease, worker)
    reply = desk.report(worker, lease, outcome)
    if reply.kind == "store":
        return _store(desk, runner, worker, lease, outcome)
    return reply, outcome


def _store(
    desk: Desk, runner: Runner, worker: WorkerId, lease: Lease, outcome: Outcome
) -> tuple[Reply, Outcome]:
    """Store the checkpoint and confirm it; a failure to store is the trial's failure."""
    began_s = time.monotonic()
    try:
        checkpoint = runner.store(lease)
    except RunError:
        raise
    except Exception as error:
        outcome = failure(error, outcome, worker)
        return desk.report(worker, lease, outcome), outcome
    took_s = time.monotonic() - began_s
    duration_s = float(outcome.costs.get("duration_s") or 0.0) + took_s
    costs = {**outcome.costs, "store_s": took_s, "duration_s": duration_s}
    outcome = replace(outcome, costs=costs)
    return desk.stored(worker, lease, outcome, checkpoint), outcome


def _attempt(runner: Runner, lease: Lease, worker: WorkerId) -> Outcome:
    # A clock may be set while a trial runs: durations don't hang on the time of day.
    started_at, began_s = time.time(), time.monotonic()
    try:
        outcome = runner.train(lease)
    except RunError:
        raise
    except Exception as error:
        outcome = failure(error, Outcome(), worker)
    costs = {
        **outcome.costs,
        "worker": f"{worker.index}",
        "host": socket.gethostname(),
        "duration_s": time.monotonic() - began_s,
        "started_at": started_at,
    }
    return replace(outcome, costs=costs)


def failure(error: Exception, outcome: Outcome, worker: WorkerId) -> Outcome:
    """An outcome that says what went wrong and where."""
    text = " ".join(str(error).split()) or "no message"
    where = f"worker {worker.index} on {socket.gethostname()}"
    return replace(outcome, error=f"{type(error).__name__}: {text} ({where})")
