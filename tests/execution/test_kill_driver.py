"""Kill -9 of the driver at seeded instants, each followed by `--resume must`.

Real training through the command line. The trial table's result columns and the final weights
must be bit for bit those of a run to which nothing happened. On Ray the chaos suite kills more.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from executor_cases import results
from killed_runs import Instant, KilledRun, left_after
from tiny_runs import write_config, write_faces

from lfs_ray.config.load import read_config
from lfs_ray.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROUNDS, MEMBERS = 5, 3
KILLS = {"serial": 10, "ray": 3}
MODEL = "populations/main/model.safetensors"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short path, as Ray's sockets need it, for everything of these runs."""
    path = Path(tempfile.mkdtemp(prefix="kill-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def faces(folder: Path) -> str:
    return write_faces(folder)


def run_of(folder: Path, faces: str, executor: str) -> KilledRun:
    """A run of some seconds, not started yet."""
    own = Path(tempfile.mkdtemp(prefix=executor, dir=folder))
    file = write_config(
        own,
        faces,
        search={"members": MEMBERS, "rounds": ROUNDS, "round_epochs": 8.0},
        worker={"executor": executor, "count": 2, "heartbeat_s": 1.0},
        storage={"fsync": True},
    )
    environment = {"TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    return KilledRun(
        file=file,
        run_dir=own / "run",
        rounds=ROUNDS,
        members=MEMBERS,
        environment=environment,
    )


@pytest.fixture(scope="module")
def undisturbed(folder: Path, faces: str) -> KilledRun:
    run = run_of(folder, faces, "serial")
    run.finish()
    return run


def outcome(run: KilledRun) -> tuple[object, bytes]:
    """Result columns of all trials, digests of all winners, and the final weights."""
    storage = Storage(run.run_dir)
    config = read_config(storage.read("config.toml").decode(), place="the run")
    return results(config, storage), storage.read(MODEL)


def instants(seed: int, kills: int) -> list[Instant]:
    """Instants over the run; those that are past already come soon after the start."""
    draw = random.Random(seed)
    trials = sorted(draw.sample(range(ROUNDS * MEMBERS), kills))
    return [Instant(trials=number, delay_s=draw.uniform(0.0, 0.4)) for number in trials]


@pytest.mark.parametrize(
    "executor", ["serial", pytest.param("ray", marks=pytest.mark.ray)], ids=["serial", "ray"]
)
def test_run_killed_again_and_again_equals_the_undisturbed(
    executor: str, folder: Path, faces: str, undisturbed: KilledRun
) -> None:
    run = run_of(folder, faces, executor)
    hits, family = 0, []
    for number, instant in enumerate(instants(2007, KILLS[executor])):
        active, processes = run.kill_at(instant, *(["--resume", "must"] if number else []))
        hits += active
        family += processes
    run.finish("--resume", "must")
    assert hits >= 0.6 * KILLS[executor]
    assert outcome(run) == outcome(undisturbed)
    assert left_after(family) == []
