"""What packing costs, by what reading the same files and writing the same bytes costs.

    python benchmarks/packing.py [--small] [--images N] [--size-px N] [--threads N] [--repeats N]

A folder of JPEGs is packed by `lfs_ray.data.pack.pack`: read, checked, hashed, stored, made to
outlast a loss of power, read back and compared. Two plain programs do less with the same files:
"one file" lists the folder, reads every file and writes them one after the other to a single
file, which it has written to disk at the end (the least that any copy costs); "LMDB" does the same
into an LMDB, a transaction of 10,000 images at a time, on disk at the end. They run on one thread,
as copies do; packing reads on one, too, and waits for the disk and verifies on others. Times are
medians over pairs of runs in alternating order; "share" is the peer's time by ours. The bar is on
"one file": 0.7.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import lmdb
import numpy as np
import simplejpeg

from lfs_ray.data.pack import pack

NUM_IMAGES, NUM_IMAGES_SMALL = 100_000, 20_000
IMAGES_PER_CLASS = 100
DIFFERENT_IMAGES = 200
BAR = 0.7
PER_TRANSACTION = 10_000

Copy = Callable[[Path, Path], None]


def make_folder(root: Path, num_images: int, size_px: int) -> int:
    """Class folders of JPEGs of faces' usual size; the bytes they have in all."""
    words = np.random.default_rng(0)
    y, x = np.mgrid[:size_px, :size_px] / size_px
    blobs = []
    for _ in range(DIFFERENT_IMAGES):
        waves = [np.sin(words.uniform(2, 9) * x + words.uniform(2, 9) * y) for _ in range(3)]
        noise = words.normal(0, 9, (size_px, size_px, 3))
        pixels = (127 + 90 * np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8)
        blobs.append(simplejpeg.encode_jpeg(pixels, 90, "RGB", "420"))
    total = 0
    for place in range(num_images):
        folder = root / f"{place // IMAGES_PER_CLASS:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        blob = blobs[place % DIFFERENT_IMAGES]
        (folder / f"{place % IMAGES_PER_CLASS:03d}.jpg").write_bytes(blob)
        total += len(blob)
    return total


def files_of(root: Path) -> Iterator[str]:
    """Paths of all images, class by class."""
    for folder in sorted(os.listdir(root)):
        for name in sorted(os.listdir(f"{root}/{folder}")):
            yield f"{root}/{folder}/{name}"


def to_one_file(root: Path, target: Path) -> None:
    with open(target, "wb") as out:
        for path in files_of(root):
            with open(path, "rb") as file:
                out.write(file.read())
        out.flush()
        os.fsync(out.fileno())


def to_lmdb(root: Path, target: Path) -> None:
    with lmdb.open(str(target), subdir=False, sync=False, map_size=1 << 36) as env:
        files = files_of(root)
        while paths := list(islice(files, PER_TRANSACTION)):
            with env.begin(write=True) as txn:
                for path in paths:
                    with open(path, "rb") as file:
                        txn.put(path.encode()[-400:], file.read())
        env.sync(True)


def seconds(copy: Copy, root: Path, target: Path) -> float:
    """How long a copy took, from a quiet disk on."""
    os.sync()
    began = time.perf_counter()
    copy(root, target)
    took = time.perf_counter() - began
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
        Path(f"{target}-lock").unlink(missing_ok=True)
    return took


def compared(ours: Copy, peer: Copy, root: Path, repeats: int) -> tuple[float, float, float]:
    """Medians over pairs of runs, after one of each: our seconds, the peer's, peer by ours."""
    target = root.parent / "target"
    seconds(ours, root, target), seconds(peer, root, target)
    ours_s: list[float] = []
    peer_s: list[float] = []
    for repeat in range(repeats):
        pair = ((ours, ours_s), (peer, peer_s))
        for copy, times in pair if repeat % 2 else reversed(pair):
            times.append(seconds(copy, root, target))
    shares = [one / other for one, other in zip(peer_s, ours_s, strict=True)]
    return statistics.median(ours_s), statistics.median(peer_s), statistics.median(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help=f"{NUM_IMAGES_SMALL:,} images")
    parser.add_argument("--images", type=int, help=f"images (default {NUM_IMAGES:,})")
    parser.add_argument("--size-px", type=int, default=112, help="their side (default 112)")
    parser.add_argument(
        "--threads", type=int, default=0, help="that read, of packing (default one)"
    )
    parser.add_argument("--repeats", type=int, help="pairs of runs (default 7, --small 3)")
    given = parser.parse_args()
    num_images = given.images or (NUM_IMAGES_SMALL if given.small else NUM_IMAGES)
    repeats = given.repeats or (3 if given.small else 7)

    def ours(root: Path, target: Path) -> None:
        pack(root, target, threads=given.threads)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "images")
        num_bytes = make_folder(root, num_images, given.size_px)
        print(f"{num_images:,} JPEGs of {num_bytes / num_images:,.0f} bytes, {repeats} pairs")
        print(f"{'':10}{'ours, s':>9}{'images/s':>10}{'peer, s':>9}{'share':>7}{'bar':>6}")
        reached = True
        for name, peer, bar in (("one file", to_one_file, BAR), ("LMDB", to_lmdb, None)):
            ours_s, peer_s, share = compared(ours, peer, root, repeats)
            rate = num_images / ours_s
            reached = reached and (bar is None or share >= bar)
            print(
                f"{name:10}{ours_s:9.2f}{rate:10.0f}{peer_s:9.2f}{share:7.2f}{bar or '':>6}",
                flush=True,
            )
    print(f"\nbar reached: {'yes' if reached else 'no'}")


if __name__ == "__main__":
    main()
