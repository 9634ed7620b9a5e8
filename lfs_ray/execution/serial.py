"""The serial executor: the whole search in this process, without Ray; the same results."""

from __future__ import annotations

import uuid

from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.worker import Reporter, Runner, work
from lfs_ray.search.messages import WorkerId


def run_serial(coordinator: Coordinator, runner: Runner, report: Reporter) -> str:
    """Run a search to its end; the reason when it stopped before.

    Args:
        coordinator: the keeper of the run.
        runner: what trains.
        report: told of every finished trial.
    """
    worker = WorkerId(index=0, incarnation=uuid.uuid4().hex)
    return work(coordinator, runner, worker, report)
