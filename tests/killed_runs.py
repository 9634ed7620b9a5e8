"""A search started as a user starts it, and killed as an operating system kills it.

The driver is a process of its own session. It is killed by SIGKILL at a chosen instant of the
search: when so many trials are complete, plus some seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

COMMAND = "from lfs_ray.cli import main; main()"
START_TIMEOUT_S = 240.0
END_TIMEOUT_S = 60.0
_LOOK_EVERY_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Instant:
    """When to kill: this long after so many trials are complete."""

    trials: int
    delay_s: float


@dataclass(frozen=True, kw_only=True)
class KilledRun:
    """A run directory, and the command that starts or continues its search."""

    file: str
    run_dir: Path
    rounds: int
    members: int
    environment: dict[str, str]
    command: str = "search"
    population: str = "main"
    """Whose rounds and trials count; `*`: those of all populations."""

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own; it writes to a log beside the run."""
        args = [self.command, self.file, "--run-dir", str(self.run_dir), *words]
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", COMMAND, *args],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def finish(self, *words: str) -> None:
        """Run the command to its end."""
        driver = self.start(*words)
        assert driver.wait(START_TIMEOUT_S) == 0, self.log.read_text()

    def kill_at(self, instant: Instant, *words: str) -> tuple[bool, list[psutil.Process]]:
        """Start, and kill at an instant: whether the search was active, processes left behind."""
        generations = self._count("generations/*.json")
        driver = self.start(*words)
        deadline = time.monotonic() + START_TIMEOUT_S
        while driver.poll() is None and not self._is_due(instant, generations):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(_LOOK_EVERY_S)
        time.sleep(instant.delay_s)
        active = driver.poll() is None and self.rounds_closed < self.rounds
        family = processes_of(driver.pid)
        driver.send_signal(signal.SIGKILL)
        assert driver.wait() in (0, -signal.SIGKILL), self.log.read_text()
        return active, family

    @property
    def log(self) -> Path:
        """What the drivers printed."""
        return self.run_dir.with_suffix(".log")

    @property
    def rounds_closed(self) -> int:
        """Committed rounds."""
        return self._count(f"populations/{self.population}/trials/round-*")

    @property
    def trials_complete(self) -> int:
        """Trials that are written down."""
        journal = self._count(f"populations/{self.population}/journal/round-*")
        return self.rounds_closed * self.members + journal

    def _is_due(self, instant: Instant, generations: int) -> bool:
        started = self._count("generations/*.json") > generations
        return started and self.trials_complete >= instant.trials

    def _count(self, pattern: str) -> int:
        return len(list(self.run_dir.glob(pattern)))


def processes_of(session: int) -> list[psutil.Process]:
    """Living processes of a session and descendants of its leader."""
    family = {}
    for process in psutil.process_iter():
        try:
            parents = [parent.pid for parent in process.parents()]
            if os.getsid(process.pid) == session or session in parents:
                family[process.pid] = process
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return list(family.values())


def left_after(family: list[psutil.Process], timeout_s: float = END_TIMEOUT_S) -> list[str]:
    """Names of the processes that have not ended by themselves within the time given."""
    _, left = psutil.wait_procs(family, timeout=timeout_s)
    return [process.name() for process in left if process.is_running()]
