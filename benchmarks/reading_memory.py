"""Private memory that a worker needs for the keys and labels of a large data set.

    python benchmarks/reading_memory.py [--small] [--images N] [--workers N]

A packed set of ten million keys (--small: a million) is made without images: list, index, manifest
and an LMDB of one record. Workers, processes of their own, open it as training does: join, select
the identities to train on, draw the order and the flips of an epoch, and read every key once. Then
all of them at once look up what of their memory is theirs alone (Private_Clean + Private_Dirty of
/proc/self/smaps_rollup), less what it was before the set was opened. The largest worker counts.
"steady" is what stays, "peak" the most there was in between, looked up every few milliseconds
while the other workers go through the same. The bar is on "steady": 24 bytes a record, the order
of the epoch included. The allocator is told to give arrays of a megabyte or more back to the
system when they are freed, as it does on its own with arrays of 32 MB, those of a large set.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import lmdb

from lfs_ray.data.key_index import write_table
from lfs_ray.data.packed_files import FORMAT, INDEX_NAME, LIST_NAME, LMDB_NAME, MANIFEST_NAME
from lfs_ray.data.sources import FaceSet, open_faces
from lfs_ray.data.split import split_identities
from lfs_ray.data.stream import stream_flips, stream_indices

NUM_IMAGES, NUM_IMAGES_SMALL = 10_000_000, 1_000_000
IMAGES_PER_IDENTITY = 50
BAR_BYTES = 24.0
VALIDATION_SHARE = 0.02
SAMPLE_EVERY_S = 0.005
LINES_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Used:
    """Private bytes of one worker, beyond those before it opened the set."""

    steady: int
    peak: int
    open_s: float
    digest_s: float


def make_set(folder: Path, num_images: int, *, with_index: bool) -> str:
    """A packed set whose LMDB holds one record: keys are only read from the list here."""
    folder.mkdir()
    total = hashlib.sha256()
    with (folder / LIST_NAME).open("wb") as file:
        for first in range(0, num_images, LINES_AT_ONCE):
            places = range(first, min(first + LINES_AT_ONCE, num_images))
            lines = b"".join(
                b"identity_%07d/%06d.jpg %d\n" % (place // 50, place % 50, place // 50)
                for place in places
            )
            file.write(lines)
            total.update(lines)
    path = str(folder / LMDB_NAME)
    with lmdb.open(path, subdir=False, lock=False) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    if with_index:
        write_table(folder / LIST_NAME, folder / INDEX_NAME)
        manifest = {"format": FORMAT, "images": num_images, "list_sha256": total.hexdigest()}
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    return str(folder)


def private_bytes() -> int:
    """Private_Clean + Private_Dirty of this process."""
    with open("/proc/self/smaps_rollup") as file:
        rows = (line.split() for line in file)
        return sum(1024 * int(row[1]) for row in rows if row[0].startswith("Private_"))


@contextmanager
def watched() -> Iterator[Callable[[], int]]:
    """Gives a function that tells the largest `private_bytes` so far."""
    largest, stop = private_bytes(), threading.Event()

    def watch() -> None:
        nonlocal largest
        while not stop.wait(SAMPLE_EVERY_S):
            largest = max(largest, private_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: largest
    finally:
        stop.set()
        thread.join()


def to_train_on(sources: list[str]) -> FaceSet:
    """The set as a run has it: without the identities that are held out."""
    faces = open_faces(sources)
    kept, _ = split_identities(faces.num_classes, VALIDATION_SHARE, 0)
    return faces.select(kept)


def worker(sources: list[str], barrier: Barrier, results: multiprocessing.Queue[Used]) -> None:
    """Do what a worker does, and tell what it took."""
    gc.collect()
    before = private_bytes()
    barrier.wait()
    with watched() as largest:
        began = time.perf_counter()
        faces = to_train_on(sources)
        open_s = time.perf_counter() - began
        indices = stream_indices(0, len(faces), 0, len(faces))
        flips = stream_flips(0, 0, len(faces), 0.5)
        began = time.perf_counter()
        faces.digest()
        digest_s = time.perf_counter() - began
        barrier.wait()
        gc.collect()
        steady = private_bytes()
        barrier.wait()
        peak = largest()
    assert len(indices) == len(flips) == len(faces)
    results.put(Used(steady - before, peak - before, open_s, digest_s))


def largest_of(sources: list[str], num_workers: int) -> Used:
    """Run workers side by side; the figures of the one that took most."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(num_workers), context.Queue()
    processes = [
        context.Process(target=worker, args=(sources, barrier, results))
        for _ in range(num_workers)
    ]
    for process in processes:
        process.start()
    found: list[Used] = [results.get(timeout=1200) for _ in processes]
    for process in processes:
        process.join()
    return max(found, key=lambda used: used.steady)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help=f"{NUM_IMAGES_SMALL:,} keys")
    parser.add_argument("--images", type=int, help=f"keys (default {NUM_IMAGES:,})")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    given = parser.parse_args()
    num_images = given.images or (NUM_IMAGES_SMALL if given.small else NUM_IMAGES)
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 20)
        whole = [make_set(Path(folder, "whole"), num_images, with_index=True)]
        halves = [
            make_set(Path(folder, f"half{place}"), num_images // 2, with_index=True)
            for place in range(2)
        ]
        foreign = [make_set(Path(folder, "foreign"), num_images, with_index=False)]
        kinds = {"packed set": whole, "two joined": halves, "LMDB and list": foreign}
        print(f"{num_images:,} keys, {given.workers} workers; bytes a record, bar {BAR_BYTES}")
        print(f"{'':15}{'steady':>8}{'peak':>8}{'open, s':>9}{'every key, s':>14}")
        for name, sources in kinds.items():
            used = largest_of(sources, given.workers)
            steady, peak = used.steady / num_images, used.peak / num_images
            missed += [name] if steady > BAR_BYTES else []
            print(
                f"{name:15}{steady:8.1f}{peak:8.1f}{used.open_s:9.2f}{used.digest_s:14.2f}",
                flush=True,
            )
    print(f"\nbar not reached: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
