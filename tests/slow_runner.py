"""A scripted runner whose trials take a while: what happens meanwhile is the test."""

from __future__ import annotations

import time

from scripted_runner import ScriptedRunner

from lfs_ray.search.messages import Checkpoint, Lease, Outcome

TRIAL_S = 1.0


class SlowRunner:
    """A runner's trials, each with a pause before it."""

    def __init__(self, runner: ScriptedRunner) -> None:
        self._runner = runner

    def train(self, lease: Lease) -> Outcome:
        """Pause, then train."""
        time.sleep(TRIAL_S)
        return self._runner.train(lease)

    def store(self, lease: Lease) -> Checkpoint:
        """Store."""
        return self._runner.store(lease)


def slow(**arguments: object) -> SlowRunner:
    """A slow runner of the scripted runner's arguments."""
    return SlowRunner(ScriptedRunner(**arguments))  # type: ignore[arg-type]
