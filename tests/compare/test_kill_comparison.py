"""Kill -9 of a comparison at seeded instants, replays included, each followed by a resume."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_runs import Instant, KilledRun
from small_comparisons import Table, write_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROUNDS = 44  # of 9 lineages and a replay for each of two seeds
KILLS = 6


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, as Ray's sockets need it."""
    with tempfile.TemporaryDirectory(prefix="kill-") as path:
        yield Path(path)


def _run(table: Table, folder: Path, name: str, executor: str) -> KilledRun:
    own = folder / name
    own.mkdir()
    worker = {**table["worker"], "executor": executor, "count": 2, "heartbeat_s": 1.0}
    return KilledRun(
        file=write_table({**table, "worker": worker}, own),
        run_dir=own / "run",
        rounds=ROUNDS,
        members=1,
        environment={"TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder / "cache")},
        command="compare",
        population="*",
    )


@pytest.mark.parametrize(
    "executor", ["serial", pytest.param("ray", marks=pytest.mark.ray)], ids=["serial", "ray"]
)
def test_a_comparison_killed_again_and_again_ends_in_the_same_table(
    executor: str, table: Table, folder: Path, finished: Path
) -> None:
    run = _run(table, folder, executor, executor)
    draw = random.Random(executor)
    hits = 0
    for number, trials in enumerate(sorted(draw.sample(range(ROUNDS), KILLS))):
        instant = Instant(trials=trials, delay_s=draw.uniform(0.0, 0.2))
        hits += run.kill_at(instant, *(["--resume", "must"] if number else []))[0]
    run.finish("--resume", "auto")
    assert hits >= 3
    table_name = "comparison.csv"
    assert (run.run_dir / table_name).read_bytes() == (finished / table_name).read_bytes()
