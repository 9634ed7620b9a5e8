"""How workers get a round's parent: from the run's files, or through Ray's object store.

    python benchmarks/parents.py [--small] [--sizes MB ...] [--rounds N] [--dir DIR]

Two nodes of two workers each, no training; the run on a disk or on S3, parents by either way. In
every round one worker (in turn) stores a checkpoint by each of the four, in alternating order, and
all workers take it as their next parent. Printed are medians over rounds: *confirmed* is the time
from the order to store until the checkpoint is confirmed, *held* the time from then until the last
worker has it in its model's memory, verified; the ratio is of their sum to that of files in the
same storage; and the bytes read from the storage.

What this can't show: both nodes are this machine, so that the disk's page cache is every node's,
the network is loopback, and all share its cores; S3 is moto's server, one process of Python,
slower than the real one with many readers and without its latency. It shows what each way costs
the processors, and what it spares the storage.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ray
from null_training import new_state
from pyarrow import fs
from ray.cluster_utils import Cluster

from lfs_ray.execution.checkpoints import Checkpoints
from lfs_ray.execution.parent_exchange import ParentExchange
from lfs_ray.execution.parent_shelf import ParentShelf
from lfs_ray.search.messages import Checkpoint, Lease, Parent
from lfs_ray.storage import Storage

WAYS = ("disk, files", "disk, object store", "S3, files", "S3, object store")
FILES_OF = dict(zip(WAYS, (WAYS[0], WAYS[0], WAYS[2], WAYS[2]), strict=True))
NUM_NODES, WORKERS_PER_NODE = 2, 2
STORE_COPIES = 7
"""Checkpoints that fit into a node's object store."""
BUCKET = "parents"
SERVER = "import sys; from moto.server import main; main(sys.argv[1:])"
SERVER_START_S = 60.0


class CountingStorage(Storage):
    """Storage that counts the bytes that were read."""

    read_bytes = 0

    def read(self, name: str) -> bytes:
        """Whole content."""
        blob = super().read(name)
        self.read_bytes += len(blob)
        return blob


@ray.remote(num_cpus=0, resources={"head": 0.001})
class Shelf:
    """The part of the policy actor that this is about."""

    def __init__(self) -> None:
        self._shelf = ParentShelf(ray.put)

    async def expect(self, lease: Lease) -> None:
        """A worker is told to store."""
        self._shelf.expect(lease, 0.0)

    async def offer_parent(self, lease: Lease, blob: Any) -> None:
        """As the policy actor."""
        await self._shelf.offer(lease, blob)

    async def parent_ref(self, name: str) -> list[Any]:
        """As the policy actor."""
        return self._shelf.ref_of(name)


@ray.remote(num_cpus=1)
class Worker:
    """A worker that stores and loads and does nothing else."""

    def __init__(self, shelf: Any, urls: dict[str, str], size_mb: int) -> None:
        self._storages = {way: CountingStorage(url) for way, url in urls.items()}
        self._checkpoints = {
            way: Checkpoints(storage, keep=1) for way, storage in self._storages.items()
        }
        for way in WAYS[1::2]:
            self._checkpoints[way].exchange = ParentExchange(shelf)
        self._state = new_state(size_mb)

    def store(self, way: str, lease: Lease) -> tuple[Checkpoint, float, float]:
        """Store the state; the seconds it took, and when it was done."""
        began = time.time()
        checkpoint = self._checkpoints[way].store(lease, self._state, {})
        return checkpoint, time.time() - began, time.time()

    def load(self, way: str, parent: Parent) -> tuple[float, int]:
        """Take up a parent; when it was done, and the bytes read from the storage."""
        before = self._storages[way].read_bytes
        for name, array in self._checkpoints[way].load(parent).items():
            np.copyto(self._state[name], array)
        return time.time(), self._storages[way].read_bytes - before


def lease_of(way: str, number: int) -> Lease:
    return Lease(
        population=way.replace(", ", "-").replace(" ", "-"),
        round=number,
        member=0,
        token=f"t{number}",
        theta=(),
        seed=0,
        stream_seed=0,
        init_seed=0,
        parent=None,
    )


def play(way: str, number: int, shelf: Any, workers: list[Any]) -> dict[str, float]:
    """One round by one way: confirmed, held (s) and read (MB)."""
    lease = lease_of(way, number)
    ray.get(shelf.expect.remote(lease))
    winner = workers[number % len(workers)]
    checkpoint, confirmed_s, confirmed_at = ray.get(winner.store.remote(way, lease))
    parent = Parent(round=number, member=0, checkpoint=checkpoint)
    loads = ray.get([worker.load.remote(way, parent) for worker in workers])
    return {
        "confirmed": confirmed_s,
        "held": max(at for at, _ in loads) - confirmed_at,
        "read": sum(size for _, size in loads) / 1e6,
        "size": checkpoint.size_bytes / 1e6,
    }


def measure(size_mb: int, rounds: int, urls: dict[str, str]) -> pd.DataFrame:
    """Rows of every way and round, the first round of each left out."""
    shelf = Shelf.remote()
    workers = [Worker.remote(shelf, urls, size_mb) for _ in range(NUM_NODES * WORKERS_PER_NODE)]
    rows = []
    for number in range(rounds + 1):
        turn = number % len(WAYS)
        for way in WAYS[turn:] + WAYS[:turn]:
            found = play(way, number, shelf, workers)
            rows.append({"way": way, "round": number, **found})
            tidy(Storage(urls[way]), lease_of(way, number).population)
    for actor in (*workers, shelf):
        ray.kill(actor)
    frame = pd.DataFrame(rows)
    return frame[frame["round"] > 0]


def tidy(storage: Storage, population: str) -> None:
    folder = f"populations/{population}/checkpoints"
    for name in storage.list(folder):
        storage.delete(f"{folder}/{name}")


def show(frame: pd.DataFrame, size_mb: int) -> None:
    rounds = frame["round"].nunique()
    print(f"\n{size_mb} MB, {NUM_NODES} nodes of {WORKERS_PER_NODE} workers, {rounds} rounds")
    totals = {way: group["confirmed"] + group["held"] for way, group in frame.groupby("way")}
    for way in WAYS:
        rows = frame[frame["way"] == way]
        ratio = statistics.median(totals[way].to_numpy() / totals[FILES_OF[way]].to_numpy())
        print(
            f"  {way:18} confirmed {rows['confirmed'].median():7.3f} s   held "
            f"{rows['held'].median():7.3f} s   both {totals[way].median():7.3f} s   "
            f"x {ratio:5.2f}   read {rows['read'].median():7.1f} MB",
            flush=True,
        )


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """A URL of an empty bucket, served on loopback by a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVER, "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as server:
        try:
            wait_for(port)
            options = f"scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1"
            url = f"s3://{BUCKET}/?{options}&allow_bucket_creation=true"
            fs.FileSystem.from_uri(url)[0].create_dir(BUCKET)
            yield f"s3://{BUCKET}/run?{options}"
        finally:
            server.kill()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + SERVER_START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def two_nodes(size_mb: int, folder: str) -> Iterator[None]:
    """A cluster of two nodes with its files in a folder, and this process connected to it."""
    os.environ["RAY_TMPDIR"] = folder
    memory = 80 * 2**20 + STORE_COPIES * size_mb * 1_000_000
    node: dict[str, Any] = {"num_cpus": WORKERS_PER_NODE, "object_store_memory": memory}
    head = {**node, "include_dashboard": False, "resources": {"head": 1}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(NUM_NODES - 1):
            cluster.add_node(**node)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="4 MB and 6 rounds")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 100, 500], metavar="MB")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of each way (default 12)")
    parser.add_argument("--dir", help="folder on the disk to measure (default: temporary)")
    given = parser.parse_args()
    sizes, rounds = ([4], 6) if given.small else (given.sizes, given.rounds)
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for size_mb in sizes:
        with (
            # Its own, so that nobody else on the machine is led to this cluster.
            tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as own,
            tempfile.TemporaryDirectory(dir=given.dir, prefix="parents-") as folder,
            s3_server() as s3_url,
            two_nodes(size_mb, own),
        ):
            urls = dict(zip(WAYS, (folder, folder, s3_url, s3_url), strict=True))
            show(measure(size_mb, rounds, urls), size_mb)


if __name__ == "__main__":
    main()
