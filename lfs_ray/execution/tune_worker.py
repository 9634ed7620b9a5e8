"""A worker as Ray Tune runs it: a class trainable whose step is one trial.

A class and no function: its steps run in the main thread of the process, the only one that Python
lets handle signals. SIGTERM is how clouds, Kubernetes and Slurm announce that a machine goes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError

from lfs_ray.errors import RunError
from lfs_ray.execution.admission import Admission
from lfs_ray.execution.parent_exchange import RunnerFactory
from lfs_ray.execution.pulse import Pulse
from lfs_ray.execution.ray_desk import RayDesk
from lfs_ray.execution.worker import Runner, trials
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, WorkerId

_LAST = {tune.result.RESULT_DUPLICATE: True}
"""Says to Tune that this is no result of its own: loggers don't hear of it."""
LEAVE_WITHIN_S = 10.0
"""Seconds that a worker which is told to end waits for the policy actor to take its lease."""


def remote_class(cls: type) -> Any:
    """A Ray actor class; Ray's own types don't know an actor's methods."""
    return ray.remote(cls)


class TuneWorker(tune.Trainable):
    """One worker: leases trials from the policy actor until the search is done."""

    def setup(
        self,
        config: dict[str, Any],
        actor: Any = None,
        make_runner: RunnerFactory | None = None,
        heartbeat_s: float = 0.0,
        admission: Admission | None = None,
    ) -> None:
        """Start; Tune calls this once in each process."""
        assert make_runner is not None
        assert admission is not None
        worker = this_worker(int(config["worker"]))
        self._on_end = signal.signal(signal.SIGTERM, lambda *_: _leave(actor, worker))
        # It restarts when it dies: a worker without a pulse would lose every longer trial.
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
        pulse = remote_class(Pulse).options(**options)
        self._pulse = pulse.remote(actor, worker, os.getpid(), heartbeat_s)
        self._pulse.run.remote()
        self._trials = _trials(
            admission, RayDesk(actor), _Pulsed(make_runner, self._pulse), worker
        )

    def step(self) -> dict[str, Any]:
        """One trial; what Tune hears of it."""
        try:
            return _row(*next(self._trials))
        except (StopIteration, RunError):
            # Without its desk a worker ends: one that raised would be started again, without end.
            # The driver, which asks the desk at the end, tells the user.
            return {**_LAST, tune.result.DONE: True}

    def cleanup(self) -> None:
        """End; Tune calls this when the last step is done."""
        signal.signal(signal.SIGTERM, self._on_end)
        # Killing it would be told to the user, as a failure that is going to be repeated.
        with contextlib.suppress(RayError):
            ray.get(self._pulse.end.remote(), timeout=LEAVE_WITHIN_S)


def _trials(
    admission: Admission, desk: RayDesk, runner: Runner, worker: WorkerId
) -> Iterator[tuple[Lease, Outcome]]:
    """Trials of a worker whose node fits the run, from when it does."""
    if admission.wait(desk):
        yield from trials(desk, runner, worker)


def this_worker(index: int) -> WorkerId:
    """This process as a worker of the index given."""
    context = ray.get_runtime_context()
    return WorkerId(
        index=index,
        incarnation=uuid.uuid4().hex,
        host=socket.gethostname(),
        node=context.get_node_id(),
        log=_log_path(context.get_worker_id()),
    )


def _log_path(worker_id: str) -> str:
    """Where Ray writes what this process prints."""
    # Ray has no public word for the folder, nor for the file in it.
    node: Any = ray._private.worker._global_node
    job = ray.get_runtime_context().get_job_id()
    return f"{node.get_logs_dir_path()}/worker-{worker_id}-{job}-{os.getpid()}.err"


def _leave(actor: Any, worker: WorkerId) -> None:
    """Give the lease back and end, while the main thread goes on with what it does."""
    threading.Thread(target=_give_back, args=(actor, worker), daemon=True).start()


def _give_back(actor: Any, worker: WorkerId) -> None:
    try:
        ray.get(actor.release.remote(worker), timeout=LEAVE_WITHIN_S)
    finally:
        # Training cannot be interrupted otherwise, and all files may be left at any instant.
        os._exit(128 + signal.SIGTERM)


class _Pulsed:
    """A runner that tells the pulse which lease it holds."""

    def __init__(self, make_runner: RunnerFactory, pulse: Any) -> None:
        self._make_runner, self._pulse = make_runner, pulse

    @functools.cached_property
    def _runner(self) -> Runner:
        # Made with the first trial: a worker that cannot be made fails trials, which are counted.
        return self._make_runner()

    def train(self, lease: Lease) -> Outcome:
        self._pulse.hold.remote(lease)
        return self._runner.train(lease)

    def store(self, lease: Lease) -> Checkpoint:
        return self._runner.store(lease)


def _row(lease: Lease, outcome: Outcome) -> dict[str, Any]:
    row = {
        "population": lease.population,
        "round": lease.round,
        "member": lease.member,
        "reward": outcome.reward,
        "reward_se": outcome.reward_se,
        "train_loss": outcome.train_loss,
        "error": outcome.error,
    }
    return {**row, **{f"theta_{i}": x for i, x in enumerate(lease.theta)}}
