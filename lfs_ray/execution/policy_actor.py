"""The policy actor: the coordinator behind Ray calls, all policies of a run in one named actor.

Asynchronous, so that a worker with nothing to do waits inside its call (a long poll) while others
report. Pinned to the head node by its creator; after a death Ray starts it again, and it takes up
the run from its files. It imports no torch.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any, Protocol

from lfs_ray.config.load import read_config
from lfs_ray.execution.coordinator import Coordinator, Reply, Standing
from lfs_ray.execution.parent_shelf import ParentShelf
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, WorkerId
from lfs_ray.storage import Storage

LONG_POLL_S = 5.0
EXPIRY_CHECK_S = 0.5


class View(Protocol):
    """What the actor asks of its cluster."""

    def lost_nodes(self) -> Collection[str]:
        """Nodes known to be dead."""

    def restarted(self) -> bool:
        """Whether the actor was started again after a death."""

    def put(self, value: Any) -> Any:
        """Put a value into the object store; its reference."""


class PolicyActor:
    """Serves one run.

    Args:
        config_text: the run's config.toml.
        epoch_images: images of the training set.
        storage: the run directory.
        generation: the driver's.
        view: the cluster.
    """

    def __init__(
        self,
        config_text: str,
        epoch_images: int,
        storage: Storage,
        generation: int,
        view: View,
    ) -> None:
        config = read_config(config_text, place=storage.path("config.toml"))
        self._coordinator = Coordinator(
            config,
            epoch_images,
            storage,
            generation,
            lost_nodes=view.lost_nodes,
            restarted=view.restarted(),
        )
        self._shelf = ParentShelf(view.put)
        self._changed = asyncio.Event()

    async def hello(self, worker: WorkerId) -> None:
        """See `Coordinator.hello`."""
        self._coordinator.hello(worker)
        self._wake()

    async def lost(self, index: int) -> None:
        """See `Coordinator.lost`."""
        self._coordinator.lost(index)
        self._wake()

    async def lease(self, worker: WorkerId) -> Reply:
        """The next trial; "wait" after some seconds without one: ask again."""
        return await self._until_work(worker, self._coordinator.lease(worker))

    async def report(self, worker: WorkerId, lease: Lease, outcome: Outcome) -> Reply:
        """See `Coordinator.report`."""
        reply = self._coordinator.report(worker, lease, outcome)
        if reply.kind == "store":
            self._shelf.expect(lease, outcome.reward)
        self._wake()
        return await self._until_work(worker, reply)

    async def stored(
        self, worker: WorkerId, lease: Lease, outcome: Outcome, checkpoint: Checkpoint
    ) -> Reply:
        """See `Coordinator.stored`."""
        reply = self._coordinator.stored(worker, lease, outcome, checkpoint)
        self._wake()
        return await self._until_work(worker, reply)

    async def abandon(self, worker: WorkerId, lease: Lease, reason: str) -> Reply:
        """See `Coordinator.abandon`."""
        reply = self._coordinator.abandon(worker, lease, reason)
        self._wake()
        return await self._until_work(worker, reply)

    async def heartbeat(self, worker: WorkerId, lease: Lease) -> bool:
        """See `Coordinator.heartbeat`."""
        return self._coordinator.heartbeat(worker, lease)

    async def release(self, worker: WorkerId) -> None:
        """See `Coordinator.release`."""
        self._coordinator.release(worker)
        self._wake()

    async def standings(self) -> tuple[list[Standing], str]:
        """Where the populations stand, and why the search stopped (empty while it goes on)."""
        return self._coordinator.standings(), self._coordinator.stopped

    async def offer_parent(self, lease: Lease, blob: Any) -> None:
        """See `ParentShelf.offer`."""
        await self._shelf.offer(lease, blob)

    async def parent_ref(self, name: str) -> list[Any]:
        """See `ParentShelf.ref_of`."""
        return self._shelf.ref_of(name)

    async def _until_work(self, worker: WorkerId, reply: Reply) -> Reply:
        loop = asyncio.get_running_loop()
        end = loop.time() + LONG_POLL_S
        while reply.kind == "wait" and loop.time() < end:
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), EXPIRY_CHECK_S)
            reply = self._coordinator.lease(worker)
        return reply

    def _wake(self) -> None:
        """Let every waiting call look again."""
        populations = self._coordinator.populations
        self._shelf.keep({name for name, one in populations.items() if not one.finished})
        self._changed.set()
        self._changed = asyncio.Event()
