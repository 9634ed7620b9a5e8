"""Searches that executors are tested with, what must come of them, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripted import as_bits, run_undisturbed
from scripted_runner import NAN, RAISES, Script, ScriptedRunner, Trial

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.machine import StorageConfig, WorkerConfig
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import (
    Config,
    LossConfig,
    OptimizerConfig,
    PopulationConfig,
    RunConfig,
    SearchConfig,
)
from lfs_ray.execution.blueprint import plan_population
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.worker import Runner
from lfs_ray.search.messages import WorkerId
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds
from lfs_ray.trials.rounds import Row
from lfs_ray.trials.schema import RESULT_COLUMNS, column_names

EPOCH_IMAGES = 256
MakeRunner = Callable[[], Runner]
Result = tuple[object, ...]

POPULATIONS = {
    "learns": PopulationConfig(
        search=SearchConfig(policy="reinforce", members=4, rounds=5, round_epochs=0.5)
    ),
    "selects": PopulationConfig(
        search=SearchConfig(policy="selection_only", members=3, rounds=3, seed=9)
    ),
    "random": PopulationConfig(search=SearchConfig(policy="random", members=1, rounds=4)),
    "fixed": PopulationConfig(
        search=SearchConfig(policy="fixed", members=2, rounds=2, warmup_epochs=0.0),
        loss=LossConfig(name="am_softmax"),
    ),
}
LEARNS_ONLY = {"learns": POPULATIONS["learns"]}
FAULTS = {
    ("learns", 1, 0): RAISES,
    ("learns", 2, 3): NAN,
    ("learns", 2, 1): NAN,
    ("selects", 0, 2): RAISES,
}
FAULTLESS, FAULTY = Script(seed=3, levels=7), Script(seed=3, levels=7, faults=FAULTS)
DOOMED = Script(seed=3, levels=7, faults={("learns", 2, member): RAISES for member in range(4)})


def config_of(populations: dict[str, PopulationConfig], **storage: Any) -> Config:
    """A resolved configuration of small rounds."""
    given = Config(
        run=RunConfig(seed=5),
        populations=populations,
        optimizer=OptimizerConfig(batch_size=32),
        storage=StorageConfig(fsync=False, **storage),
        worker=WorkerConfig(count=2, device="cpu", heartbeat_s=0.5),
    )
    return resolve(given, name="contract")


def new_storage(folder: Path, config: Config) -> Storage:
    """A run directory with its configuration."""
    storage = Storage(folder / "run", fsync=False)
    storage.write("config.toml", dump_toml(config).encode())
    return storage


def reference(config: Config, script: Script) -> dict[str, list[Result]]:
    """Results of every population, each driven alone and by hand."""
    return {
        name: run_undisturbed(*plan_population(config, name, EPOCH_IMAGES), script).results()
        for name in config.populations
    }


def results(config: Config, storage: Storage) -> dict[str, list[Result]]:
    """Round, weights selected and result columns of every committed trial; floats as bits."""
    found = {}
    for name in config.populations:
        theta_names = plan_population(config, name, EPOCH_IMAGES)[1].space.names
        columns = column_names(theta_names, RESULT_COLUMNS)
        found[name] = [
            (one.number, one.metadata["checkpoint_digest"], *(as_bits(row[c]) for c in columns))
            for one in committed_rounds(storage, name)
            for row in one.rows
        ]
    return found


def rows_by_trial(config: Config, storage: Storage) -> dict[Trial, Row]:
    """Committed rows by population, round and member."""
    return {
        (name, one.number, int(str(row["member"]))): row
        for name in config.populations
        for one in committed_rounds(storage, name)
        for row in one.rows
    }


def checkpoints_left(storage: Storage, population: str) -> set[str]:
    """Paths of a population's checkpoints."""
    folder = f"populations/{population}/checkpoints"
    return {f"{folder}/{name}" for name in storage.list(folder)}


def by_hand(config: Config, storage: Storage, runner: ScriptedRunner, *, trials: int) -> None:
    """Carry out the first trials of a search, then leave it as it is."""
    generation = start_generation(storage, config.populations)
    coordinator = Coordinator(config, EPOCH_IMAGES, storage, generation)
    worker = WorkerId(index=0, incarnation="by-hand")
    reply = coordinator.lease(worker)
    for _ in range(trials):
        lease = reply.lease
        assert lease is not None
        outcome = runner.train(lease)
        reply = coordinator.report(worker, lease, outcome)
        if reply.kind == "store":
            reply = coordinator.stored(worker, lease, outcome, runner.store(lease))
