"""The clock of leases: it stands still while their keeper cannot listen.

A keeper that is busy (storage that is tried again), stopped, or asleep with its machine hears no
heartbeat: that silence is its own, and no lease may run out of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class ListeningClock:
    """Seconds in which the keeper listened; a longer gap between two looks counts as `most_s`.

    Args:
        most_s: most seconds that two looks may lie apart and count in full.
        now_s: a clock that never goes back.
    """

    def __init__(self, most_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._most_s, self._now_s = most_s, now_s
        self._last_s, self._heard_s = now_s(), 0.0

    def __call__(self) -> float:
        """Look at the clock."""
        now_s = self._now_s()
        self._heard_s += min(now_s - self._last_s, self._most_s)
        self._last_s = now_s
        return self._heard_s

    def skip(self) -> None:
        """What passed since the last look does not count: the keeper was busy."""
        self._last_s = self._now_s()
