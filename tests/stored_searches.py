"""Small scripted searches on any storage: run to the end, in one process, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from executor_cases import EPOCH_IMAGES, FAULTLESS, config_of, results
from scripted_runner import ScriptedRunner

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.sections import Config, PopulationConfig, SearchConfig
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.run_files import RunFiles
from lfs_ray.execution.serial import run_serial
from lfs_ray.search.rounds import ClosedRound
from lfs_ray.storage import Storage

SMALL = config_of(
    {
        "learns": PopulationConfig(
            search=SearchConfig(policy="reinforce", members=2, rounds=4, round_epochs=0.5)
        )
    },
    keep_last=1,
    compact_rounds=2,
)
"""Every commit tidies, every second compacts."""


def begin(config: Config, storage: Storage) -> None:
    """Make the folder a run."""
    storage.write("config.toml", dump_toml(config).encode())


def drive(config: Config, storage: Storage, marks: Path) -> str:
    """Start a driver and run the search to its end; the reason where it stopped before."""
    coordinator = start_driver(config, storage)
    runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=marks)
    return run_serial(coordinator, runner, lambda lease, outcome: None)


def start_driver(config: Config, storage: Storage) -> Coordinator:
    """A driver's keeper of the run."""
    generation = start_generation(storage, config.populations)
    return Coordinator(config, EPOCH_IMAGES, storage, generation)


def assert_whole(config: Config, storage: Storage, wanted: object) -> None:
    """The rows are the undisturbed ones, and the last parents are there."""
    assert results(config, storage) == wanted
    for name in config.populations:
        files = RunFiles(storage, name, 0, (), keep_last=1, compact_rounds=0)
        files.generation = -1  # looks only
        last = files.committed()[-1]
        parent = files.parent_of(last)
        assert storage.read(parent.checkpoint.name).decode() == parent.checkpoint.digest


@contextmanager
def commits_noted(
    patch: pytest.MonkeyPatch, count: Callable[[], int]
) -> Iterator[list[tuple[int, int]]]:
    """Where each commit begins and ends, counted in operations."""
    spans: list[tuple[int, int]] = []
    commit = RunFiles.commit

    def noted(self: RunFiles, closed: ClosedRound) -> None:
        begin = count()
        commit(self, closed)
        spans.append((begin, count()))

    with patch.context() as here:
        here.setattr(RunFiles, "commit", noted)
        yield spans
