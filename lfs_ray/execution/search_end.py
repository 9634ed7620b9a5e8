"""The end of a search, for Tune: workers that cannot be made must not keep it from ending.

Tune starts a failed worker again, without end: on a node without lfs-ray it fails each time.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import ray
from ray import tune
from ray.exceptions import GetTimeoutError, RayError

from lfs_ray.execution.ray_desk import is_over

GRACE_S = 10.0
"""Seconds in which workers that work hear of the end, and Tune of their last trials."""
_ASK_EVERY_S = 1.0


class SearchEnd(tune.Stopper):
    """Ends Tune's run a little after the search is over.

    Args:
        actor: handle of the policy actor.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._asked_s, self._over_s = -math.inf, math.inf

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No worker is stopped by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether the search has been over for some seconds."""
        now_s = time.monotonic()
        if self._over_s == math.inf and now_s - self._asked_s >= _ASK_EVERY_S:
            self._asked_s = now_s
            with contextlib.suppress(RayError, GetTimeoutError):
                if is_over(ray.get(self._actor.standings.remote(), timeout=_ASK_EVERY_S)):
                    self._over_s = now_s
        return now_s - self._over_s >= GRACE_S
