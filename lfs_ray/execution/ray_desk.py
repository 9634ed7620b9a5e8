"""The policy actor as a worker's desk: every call repeated until it is answered.

A call that got lost may have been carried out: the population answers a repeated one alike.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from lfs_ray.errors import RunError
from lfs_ray.execution.coordinator import Reply, Standing
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, WorkerId

CALL_TIMEOUT_S = 60.0
PATIENCE_S = 600.0
_FIRST_PAUSE_S = 0.1


def is_over(answer: tuple[list[Standing], str]) -> bool:
    """Whether a search with such standings is done or has stopped."""
    standings, stopped = answer
    return bool(stopped) or all(one.round >= one.rounds for one in standings)


class RayDesk:
    """Calls of the policy actor.

    Args:
        actor: its handle.
        patience_s: how long an actor that restarts is waited for.
    """

    def __init__(self, actor: Any, *, patience_s: float = PATIENCE_S) -> None:
        self.actor = actor
        self.patience_s = patience_s

    def hello(self, worker: WorkerId) -> None:
        """See `Coordinator.hello`."""
        self._call("hello", worker)

    def lease(self, worker: WorkerId) -> Reply:
        """See `PolicyActor.lease`."""
        return self._reply("lease", worker)

    def report(self, worker: WorkerId, lease: Lease, outcome: Outcome) -> Reply:
        """See `Coordinator.report`."""
        return self._reply("report", worker, lease, outcome)

    def stored(
        self, worker: WorkerId, lease: Lease, outcome: Outcome, checkpoint: Checkpoint
    ) -> Reply:
        """See `Coordinator.stored`."""
        return self._reply("stored", worker, lease, outcome, checkpoint)

    def abandon(self, worker: WorkerId, lease: Lease, reason: str) -> Reply:
        """See `Coordinator.abandon`."""
        return self._reply("abandon", worker, lease, reason)

    def heartbeat(self, worker: WorkerId, lease: Lease) -> bool:
        """See `Coordinator.heartbeat`."""
        return bool(self._call("heartbeat", worker, lease))

    def standings(self) -> tuple[list[Standing], str]:
        """See `PolicyActor.standings`."""
        standings: tuple[list[Standing], str] = self._call("standings")
        return standings

    def is_over(self) -> bool:
        """Whether the search is done or has stopped."""
        return is_over(self.standings())

    def _reply(self, method: str, *args: object) -> Reply:
        reply = self._call(method, *args)
        assert isinstance(reply, Reply)
        return reply

    def _call(self, method: str, *args: object) -> Any:
        began, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while True:
            try:
                return ray.get(getattr(self.actor, method).remote(*args), timeout=CALL_TIMEOUT_S)
            except (ActorUnavailableError, GetTimeoutError, ActorDiedError) as error:
                if time.monotonic() - began > self.patience_s or isinstance(error, ActorDiedError):
                    raise RunError(
                        f"the policy actor must answer within {self.patience_s:g} s, it did not "
                        f"({type(error).__name__}): resume the run"
                    ) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)
