"""A Ray cluster of several nodes on this machine, whose processes can be found and killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster

TESTS = Path(__file__).resolve().parents[1]
MEMORY_BYTES = 80 * 2**20


class Nodes:
    """A head that holds only the policy actor, and nodes that hold workers.

    Args:
        folder: temporary files, with a short path as Ray's sockets need it.
        count: nodes beside the head.
        cpus: workers that a node holds.
    """

    def __init__(self, folder: Path, *, count: int, cpus: int) -> None:
        self.cpus = cpus
        self._cluster = Cluster(shutdown_at_exit=True)
        self._cluster.add_node(
            num_cpus=0,
            include_dashboard=False,
            temp_dir=str(folder / "ray"),
            object_store_memory=MEMORY_BYTES,
        )
        for _ in range(count):
            self.add()

    @property
    def address(self) -> str:
        """Where a driver finds it."""
        return str(self._cluster.address)

    def add(self) -> None:
        """A node more."""
        self._cluster.add_node(num_cpus=self.cpus, object_store_memory=MEMORY_BYTES)

    def policy_actors(self) -> list[psutil.Process]:
        """Processes of policy actors."""
        return self._entitled("ray::PolicyActor")

    def workers(self) -> list[psutil.Process]:
        """Processes of workers of searches."""
        return self._entitled("ray::TuneWorker")

    def kill_raylet(self, pick: float) -> float:
        """SIGKILL the raylet of a node with workers, and remove what it leaves; when, in s.

        Args:
            pick: in [0, 1), which node.
        """
        nodes = sorted(self._cluster.worker_nodes, key=lambda node: node.unique_id)
        node = nodes[int(pick * len(nodes))]
        pid = node.all_processes["raylet"][0].process.pid
        os.kill(pid, signal.SIGKILL)
        killed_s = time.time()
        self._cluster.remove_node(node, allow_graceful=False)
        return killed_s

    def clear(self) -> None:
        """Remove all nodes but the head."""
        for node in list(self._cluster.worker_nodes):
            self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """End the cluster."""
        self._cluster.shutdown()

    def _entitled(self, title: str) -> list[psutil.Process]:
        started = psutil.Process().children(recursive=True)
        return [process for process in started if title_of(process).startswith(title)]


def title_of(process: psutil.Process) -> str:
    """What a process calls itself; empty when it is gone."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return words[0] if words else ""


def variables(folder: Path) -> Mapping[str, str]:
    """Environment of all processes: temporary files there, the runners of these tests known."""
    paths = [str(TESTS), str(TESTS / "chaos"), os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "TMPDIR": str(folder),
        "RAY_TMPDIR": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    }


@contextmanager
def nodes_in(folder: Path, *, count: int, cpus: int) -> Iterator[Nodes]:
    """A cluster for some time; nothing of it is left."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables(folder).items():
            patch.setenv(name, value)
        nodes = Nodes(folder, count=count, cpus=cpus)
        family = psutil.Process().children(recursive=True)
        try:
            yield nodes
        finally:
            family += psutil.Process().children(recursive=True)
            nodes.close()
            left = psutil.wait_procs(set(family), timeout=30)[1]
            for process in left:
                process.kill()
        assert not left, f"left behind: {left}"
