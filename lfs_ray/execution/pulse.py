"""A worker's pulse: signs of life from a process of its own, while training holds the interpreter.

The pulse runs beside its worker on the same node and dies with it (it is the worker's own actor).
It knows the lease that the worker holds and prolongs it as long as the worker's process exists.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

from lfs_ray.search.messages import Lease, WorkerId


class Pulse:
    """Beats for one worker process.

    Args:
        actor: handle of the policy actor.
        worker: whose pulse it is.
        pid: the worker's process on this node.
        period_s: seconds between two beats.
    """

    def __init__(self, actor: Any, worker: WorkerId, pid: int, period_s: float) -> None:
        self._actor, self._worker, self._pid, self._period_s = actor, worker, pid, period_s
        self._lease: Lease | None = None
        self._ended = asyncio.Event()

    async def hold(self, lease: Lease | None) -> None:
        """The worker holds this lease from now on, or none."""
        self._lease = lease

    async def run(self) -> None:
        """Beat until the worker's process is gone, or says that it ends."""
        while not self._ended.is_set() and _exists(self._pid):
            if self._lease is not None:
                self._actor.heartbeat.remote(self._worker, self._lease)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._period_s)

    async def end(self) -> None:
        """The worker ends: no beat more."""
        self._ended.set()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
