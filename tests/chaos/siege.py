"""One search under fire: kills in a given order until it is through; what each of them cost.

The driver is tended as a supervisor would: whenever it ended before the search did, it is started
again. Recovery is read from the run's files: from the kill to the next trial that is written
down, and until every population that was open has closed another round.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster_nodes import Nodes
from targets import Progress, Target
from traps import DEATHS, POINTS

LOOK_EVERY_S = 0.02
TIMEOUT_S = 150.0
PROCESSES = ("worker", "actor", "node", "driver")


@dataclass(frozen=True, kw_only=True)
class Kill:
    """What to kill, and when: after so many more trials, and some seconds."""

    kind: str
    """One of PROCESSES, or a named point."""
    trials: int
    delay_s: float
    pick: float
    """In [0, 1): which of several."""
    hasty: bool
    """Comes before the search has recovered from the kill before."""


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A kill that hit, and the recovery from it in seconds; None where the next came before."""

    kind: str
    trial_s: float | None = None
    rounds_s: float | None = None


class Over(Exception):
    """The search is through."""


@dataclass
class Siege:
    """A run, the cluster it is on, and what happened so far."""

    target: Target
    nodes: Nodes
    strikes: list[Strike] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    """Last words of drivers that ended by themselves before the search was through."""
    add_node_s: float | None = None
    num_differences: int = 0
    """Pieces in which the run differs from the undisturbed one."""

    def run(self, kills: list[Kill]) -> list[Kill]:
        """Strike until the search is through; the kills that hit nothing."""
        left = list(kills)
        try:
            if left[0].kind != "generation":
                self.target.start()
            while left:
                following = left[1] if len(left) > 1 else None
                self._strike(left[0], measured=not (following and following.hasty))
                left.pop(0)
            self._wait(lambda: False, TIMEOUT_S)
        except Over:
            self._mend()
        finally:
            self.target.end()
        return left

    def _strike(self, kill: Kill, *, measured: bool) -> None:
        base = self.target.progress().trials
        if not kill.hasty:
            self._wait(lambda: self.target.progress().trials >= base + kill.trials)
        self._wait(lambda: False, kill.delay_s, patient=False)
        killed_s = self._kill(kill)
        before = self.target.progress()
        self.strikes.append(Strike(kind=kill.kind))
        if measured:
            trial_s, rounds_s = self._recovery(before, killed_s)
            self.strikes[-1] = Strike(kind=kill.kind, trial_s=trial_s, rounds_s=rounds_s)

    def _recovery(self, before: Progress, killed_s: float) -> tuple[float | None, float | None]:
        """Seconds to the next trial, and to the next round of every population that was open."""
        times: list[float | None] = [None, None]
        # A driver that is killed at its first generation has written no configuration yet.
        self._wait(lambda: self.target.config() is not None)
        populations = self.target.config().populations.items()
        still_open = [
            name for name, one in populations if before.rounds.get(name, 0) < one.search.rounds
        ]

        def look() -> bool:
            now, after_s = self.target.progress(), time.time() - killed_s
            if times[0] is None and now.trials > before.trials:
                times[0] = after_s
            return all(now.rounds.get(name, 0) > before.rounds.get(name, 0) for name in still_open)

        # Where the search comes to its end meanwhile, the next wait says so.
        with contextlib.suppress(Over):
            self._wait(look)
            times[1] = time.time() - killed_s
        return times[0], times[1]

    # ---- kinds of kills

    def _kill(self, kill: Kill) -> float:
        """Kill; when it hit, in seconds since 1970."""
        if kill.kind == "node":
            killed_s = self.nodes.kill_raylet(kill.pick)
            self.add_node_s = time.time() + 2.0 * kill.pick
            return killed_s
        if kill.kind in POINTS:
            return self._spring(kill.kind)
        return self._end_process(kill)

    def _end_process(self, kill: Kill) -> float:
        hit: list[float] = []

        def attempt() -> bool:
            pids = self._pids(kill.kind)
            if pids:
                pid = pids[int(kill.pick * len(pids))]
                try:
                    os.kill(pid, signal.SIGKILL)
                    hit.append(time.time())
                except ProcessLookupError:
                    return False
            return bool(hit)

        self._wait(attempt)
        return hit[0]

    def _pids(self, kind: str) -> list[int]:
        if kind == "driver":
            alive = self.target.driver is not None and self.target.driver.poll() is None
            return [self.target.driver.pid] if alive else []
        found = self.nodes.workers() if kind == "worker" else self.nodes.policy_actors()
        return sorted(process.pid for process in found)

    def _spring(self, point: str) -> float:
        traps, so_far = self.target.traps, len(self.target.traps.hits())
        traps.arm(point)
        driver = self.target.driver
        if point == "generation" and driver is not None:
            driver.kill()
        try:
            self._wait(lambda: len(traps.hits()) > so_far)
        except Over:
            traps.disarm(point)
            raise
        hit = traps.hits()[-1]
        assert hit.point == point
        return hit.time_s

    # ---- meanwhile

    def _wait(
        self, done: Callable[[], bool], timeout_s: float = TIMEOUT_S, *, patient: bool = True
    ) -> None:
        """Wait until something is done, or for some time, and tend the driver.

        Raises:
            Over: the search is through.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._tend()
            if done():
                return
            if time.monotonic() > deadline:
                assert not patient, f"nothing happened for {timeout_s} s:\n{self.target.log}"
                return
            time.sleep(LOOK_EVERY_S)

    def _tend(self) -> None:
        if self.add_node_s is not None and time.time() > self.add_node_s:
            self._mend()
        driver = self.target.driver
        code = driver.poll() if driver is not None else -signal.SIGKILL
        if code is None:
            return
        if code == 0:
            raise Over
        if code not in DEATHS:
            self.endings.append(self.target.log.strip().splitlines()[-1])
            assert len(self.endings) < 3, self.endings
        self.target.start()

    def _mend(self) -> None:
        if self.add_node_s is not None:
            self.add_node_s = None
            self.nodes.add()


def shuffled_kills(kinds: list[str], draw: random.Random) -> list[Kill]:
    """The kinds in a random order, each at a random instant."""
    return [
        Kill(
            kind=kind,
            trials=1 + draw.randrange(12),
            delay_s=draw.uniform(0.0, 0.3),
            pick=draw.random(),
            hasty=draw.random() < 0.25,
        )
        for kind in draw.sample(kinds, len(kinds))
    ]
