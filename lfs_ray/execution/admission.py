"""Whether the node of a worker fits the run: asked by the worker itself, before its first lease.

A node may join after the search started. One that lacks data, storage or the driver's versions
must not stop the others: its workers take no trial, look again now and then, and end with the
search. Workers on nodes that fit go on.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import ray

from lfs_ray.config.sections import Config
from lfs_ray.errors import RunError
from lfs_ray.execution.generations import newest_generation
from lfs_ray.execution.node_agreement import NodeView, disagreements
from lfs_ray.execution.node_facts import Facts, node_facts
from lfs_ray.execution.node_survey import data_paths
from lfs_ray.execution.ray_desk import RayDesk
from lfs_ray.storage import Storage

LOOK_AGAIN_S = 30.0
_ASK_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """What a node must have.

    Args:
        driver: the driver's facts.
        storage: the run directory.
        generation: the driver's, which stands in the run directory.
    """

    driver: Facts
    storage: Storage
    generation: int

    @classmethod
    def of(cls, config: Config, storage: Storage, generation: int) -> Admission:
        """What this process, the driver's, asks of nodes."""
        facts = node_facts(data_paths(config))
        return cls(driver=facts, storage=storage, generation=generation)

    def faults(self) -> list[str]:
        """What this node lacks, one line each."""
        view = NodeView(
            name=f"{socket.gethostname()} ({ray.get_runtime_context().get_node_id()[:8]})",
            trains=True,
            facts=node_facts(self.driver["data"]),
            sees_storage=self._sees_storage(),
        )
        return disagreements(self.driver, [view], self.storage.path())

    def wait(self, desk: RayDesk) -> bool:
        """Wait until this node fits; False: the search ended before.

        Raises:
            RunError: the policy actor does not answer.
        """
        while self.faults():
            again = time.monotonic() + LOOK_AGAIN_S
            while time.monotonic() < again:
                if desk.is_over():
                    return False
                time.sleep(_ASK_EVERY_S)
        return True

    def _sees_storage(self) -> bool:
        try:
            return newest_generation(self.storage) >= self.generation
        except (OSError, RunError):
            return False
