"""What a long search costs its keeper and its readers: 1,000 rounds x 32 members.

    python benchmarks/long_run.py [--small] [--dir DIR] [--rounds N] [--members B]

The rounds of a one-dimensional REINFORCE search are driven through the keeper of a run in this
process, with scripted rewards and checkpoints of a few bytes, and committed and compacted as
always. Then, each in a fresh process whose imports are done: the trial table into pandas, and the
keeper made anew, which reads the rounds and folds them into the policy (as an actor that restarts,
or a resume). Files aren't flushed to the disk. Bars: 1 s, 2 s, and memory that is flat: the median
resident size of the keeper's process over the last quarter of the rounds, less that over the
second quarter, is at most 5 MB (it goes up and down by as much). Times are medians of five.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.load import read_config
from lfs_ray.config.machine import StorageConfig
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import Config, SearchConfig
from lfs_ray.execution.coordinator import Coordinator, Reply
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, WorkerId
from lfs_ray.storage import Storage
from lfs_ray.trials.read import read_trials

BARS_S = {"table into pandas": 1.0, "keeper made anew": 2.0}
FLAT_MB = 5.0
EPOCH_IMAGES = 6400
NUM_TRIES = 5
WORKER = WorkerId(index=0, incarnation="benchmark")
BLOB = b"a checkpoint that nobody trains from"


def make_config(rounds: int, members: int) -> Config:
    search = SearchConfig(policy="reinforce", members=members, rounds=rounds)
    return resolve(Config(search=search, storage=StorageConfig(fsync=False)), name="benchmark")


def outcome_of(lease: Lease) -> Outcome:
    """A reward with its best at a margin of 0.35, and noise of the trial's own."""
    noise = float(np.random.default_rng((lease.round, lease.member)).normal())
    return Outcome(
        reward=-((lease.theta[0] - 0.35) ** 2) + 0.02 * noise,
        reward_se=0.01,
        train_loss=1.0,
        costs={"worker": "0", "host": "benchmark", "device": "cpu", "train_s": 1.0},
    )


def carry_out(coordinator: Coordinator, storage: Storage, lease: Lease) -> Reply:
    """One trial from lease to completion; the next."""
    outcome = outcome_of(lease)
    reply = coordinator.report(WORKER, lease, outcome)
    if reply.kind != "store":
        return reply
    name = checkpoint_name(lease)
    checkpoint = Checkpoint(name=name, size_bytes=storage.write(name, BLOB), digest="0" * 64)
    return coordinator.stored(WORKER, lease, outcome, checkpoint)


def write(storage: Storage, config: Config) -> dict[str, float]:
    """Write the run; seconds a round, and how much this process grew."""
    generation = start_generation(storage, config.populations)
    coordinator = Coordinator(config, EPOCH_IMAGES, storage, generation)
    process, held_mb, rounds_s = psutil.Process(), [], []
    began, rounds = time.perf_counter(), config.populations["main"].search.rounds
    reply = coordinator.lease(WORKER)
    while reply.lease is not None:
        number, reply = reply.lease.round, carry_out(coordinator, storage, reply.lease)
        if reply.lease is None or reply.lease.round > number:
            now = time.perf_counter()
            rounds_s.append(now - began)
            if number % max(1, rounds // 40) == 0:
                held_mb.append(process.memory_info().rss / 1e6)
            began = time.perf_counter()
    tenth, quarter = max(1, len(rounds_s) // 10), len(held_mb) // 4
    print("  keeper, resident MB " + " ".join(f"{held:.0f}" for held in held_mb), flush=True)
    return {
        "first": statistics.median(rounds_s[:tenth]),
        "last": statistics.median(rounds_s[-tenth:]),
        "longest": max(rounds_s),
        "growth_mb": (
            statistics.median(held_mb[-quarter:])
            - statistics.median(held_mb[quarter : 2 * quarter])
        ),
    }


def read(storage: Storage) -> int:
    return len(read_trials(storage.path()))


def replay(storage: Storage) -> int:
    config = read_config(storage.read("config.toml").decode(), place="config.toml")
    return Coordinator(config, EPOCH_IMAGES, storage, 0).populations["main"].round


TASKS: dict[str, Callable[[Storage], int]] = {
    "table into pandas": read,
    "keeper made anew": replay,
}


def measured(task: str, folder: str) -> float:
    """Seconds that a task takes in a fresh process, median of five; its result is checked."""
    command = [sys.executable, __file__, "--task", task, "--dir", folder]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(NUM_TRIES)
    ]
    assert len({count for count, _ in found}) == 1
    seconds = [took_s for _, took_s in found]
    middle_s = statistics.median(seconds)
    print(f"  {task:18} {middle_s:6.2f} s   most {max(seconds):6.2f} s   ({found[0][0]:,})")
    return middle_s


def carry_out_task(task: str, storage: Storage) -> None:
    began = time.perf_counter()
    count = TASKS[task](storage)
    print(json.dumps([count, time.perf_counter() - began]))


def compare(rounds: int, members: int, folder: str, *, judged: bool) -> None:
    storage, config = Storage(Path(folder) / "run", fsync=False), make_config(rounds, members)
    storage.write("config.toml", dump_toml(config).encode())
    print(f"{rounds} rounds x {members} members")
    cost = write(storage, config)
    for name in ("first", "last", "longest"):
        print(f"  keeper, {name:8} {1e3 * cost[name]:8.1f} ms a round")
    bars = {
        f"{task} in {bar_s:g} s": measured(task, storage.path()) <= bar_s
        for task, bar_s in BARS_S.items()
    }
    bars[f"growth of the keeper {cost['growth_mb']:.1f} MB, at most {FLAT_MB:g}"] = (
        cost["growth_mb"] <= FLAT_MB
    )
    for bar, kept in bars.items() if judged else ():
        print(f"  bar: {bar}: {'reached' if kept else 'not reached'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="100 rounds of 8: seconds")
    parser.add_argument("--dir", help="folder for the run (default: temporary)")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        carry_out_task(given.task, Storage(given.dir))
        return
    size = (100, 8) if given.small else (given.rounds, given.members)
    with tempfile.TemporaryDirectory(dir=given.dir, prefix="long-run-") as folder:
        compare(*size, folder, judged=not given.small)


if __name__ == "__main__":
    main()
