"""How fast training gets its images: the loader, bare decoding, and a torch DataLoader.

    python benchmarks/loader.py [--small] [--threads N | --processes N] [--data PACKED]
                                [--rounds N] [--only NAME ...]

A packed set of 112x112 JPEGs is read once in the order of a training epoch, by

    bare      simplejpeg alone, on as many threads: bytes in memory, pixels dropped
    bare by processes    the same in as many processes, between which there is no lock
    loader    the batches that training gets: shuffled, mirrored, uint8, from the LMDB; decoded on
              N threads, or in N processes (which stay from round to round, as in training)
    torch     DataLoader of two processes over the same LMDB, as in field_loader.py, mirrored
    float     the loader's batches made float32 and normalised on the CPU, as training does there

and by the loader with each augmentation on for every fifth image. All run once in every round, in
an order that changes; printed are medians of the rates and of the ratios within a round. Fails,
at full size, below 0.85 of bare (on threads) or 2 times torch. Memory is private memory (RssAnon)
at its peak above that before, and of torch the sum of its processes; that of decoding processes
isn't in it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import simplejpeg
import torch
from bare_processes import BareProcesses
from field_loader import field_loader

from lfs_ray.config.sections import ModelConfig
from lfs_ray.data.augment import Augmentation, AugmentedStream
from lfs_ray.data.decoders import Decoders
from lfs_ray.data.loader import Batch, batches
from lfs_ray.data.sources import FaceSet, open_faces
from lfs_ray.data.stream import stream_flips, stream_indices
from lfs_ray.data.synthetic import SyntheticFaces, render_identity
from lfs_ray.data.writer import write_packed
from lfs_ray.training.steps import to_pixels

SIZE_PX = 112
QUALITY = 95
IMAGES_EACH = 16
BATCH = 128
PROCESSES = 2
SEED = 1
BARE_SHARE, TORCH_RATIO = 0.85, 2.0
FIFTH = 0.2
CHANGES = {
    "crop": Augmentation(crop_probability=FIFTH),
    "low resolution": Augmentation(low_resolution_probability=FIFTH),
    "colour jitter": Augmentation(colour_jitter_probability=FIFTH),
    "grey": Augmentation(grey_probability=FIFTH),
    "all four": Augmentation(
        crop_probability=FIFTH,
        low_resolution_probability=FIFTH,
        colour_jitter_probability=FIFTH,
        grey_probability=FIFTH,
    ),
}
Work = Callable[[], int]


class Bench:
    """One set, and everything that reads it; each way of reading returns its number of images."""

    def __init__(self, folder: str, num_images: int, threads: int, processes: int = 0) -> None:
        self.threads = processes or threads
        self.faces: FaceSet = open_faces([folder])
        self.decoders = Decoders(self.faces, processes) if processes else None
        self.order = stream_indices(SEED, len(self.faces), 0, num_images)
        self.flips = stream_flips(SEED, 0, num_images, 0.5)
        with self.faces.encoded(self.order) as blobs:
            self.blobs = [bytes(blob) for blob in blobs if blob is not None]
        height, width, *_ = simplejpeg.decode_jpeg_header(self.blobs[0])
        if (height, width) != (SIZE_PX, SIZE_PX) or len(self.blobs) != num_images:
            sys.exit(f"{folder} must hold JPEGs of {SIZE_PX} x {SIZE_PX} pixels")
        self.torch = field_loader(folder, self.order, BATCH, PROCESSES)

    def bare(self) -> int:
        """Decode and forget."""

        def decode(first: int) -> None:
            for blob in self.blobs[first :: self.threads]:
                simplejpeg.decode_jpeg(blob, "RGB")

        workers = [threading.Thread(target=decode, args=(k,)) for k in range(self.threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return len(self.blobs)

    def batches(self, change: Augmentation | None = None) -> Iterator[Batch]:
        """Batches of the whole order."""
        return batches(
            self.faces,
            self.order,
            self.flips,
            batch_size=BATCH,
            size_px=SIZE_PX,
            threads=self.threads,
            augment=None if change is None else AugmentedStream(change, SEED, 0),
            decoders=self.decoders,
        )

    def loader(self, change: Augmentation | None = None) -> int:
        """Take every batch."""
        return sum(len(batch.labels_B) for batch in self.batches(change))

    def as_float(self) -> int:
        """Take every batch, and make it what a network on the CPU gets."""
        model, device = ModelConfig(), torch.device("cpu")
        return sum(
            len(to_pixels(torch.from_numpy(batch.images_BHWC), model, device))
            for batch in self.batches()
        )

    def field(self) -> int:
        """Take every batch of the DataLoader."""
        return sum(len(labels) for _, labels in self.torch)


def write_faces(folder: str, num_images: int) -> None:
    """Pack synthetic faces with the quality that face sets are distributed in."""
    spec = SyntheticFaces(num_images // IMAGES_EACH, IMAGES_EACH, SIZE_PX)
    names = [f"{identity:05d}" for identity in range(spec.num_identities)]

    def records() -> Iterator[tuple[str, bytes, int]]:
        for identity, name in enumerate(names):
            for number, picture in enumerate(render_identity(spec, identity)):
                blob = simplejpeg.encode_jpeg(picture, quality=QUALITY, colorsubsampling="420")
                yield f"{name}/{number:03d}.jpg", blob, identity

    write_packed(folder, records(), class_names=names, source={"kind": "benchmark"})


def rate(work: Work) -> float:
    """Images a second."""
    began = time.perf_counter()
    return work() / (time.perf_counter() - began)


def measure(ways: dict[str, Work], runs: int) -> dict[str, list[float]]:
    """Rates of every way, round after round; the order goes backwards in every second one."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs):
        for name in list(ways)[:: 1 if run % 2 else -1]:
            rates[name].append(rate(ways[name]))
    return rates


def ratio(rates: dict[str, list[float]], one: str, other: str) -> float:
    pairs = zip(rates[one], rates[other], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs)


def private_mb(process: psutil.Process) -> float:
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in text.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024


@contextmanager
def peak_private_mb(found: list[float]) -> Iterator[None]:
    """Appends the most private memory within, above that before."""
    own, done = psutil.Process(), threading.Event()
    before = peak = private_mb(own)

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, private_mb(own))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        found.append(peak - before)


def loader_memory(bench: Bench) -> float:
    """Most private memory of the loader with all changes on, MB."""
    found: list[float] = []
    with peak_private_mb(found):
        bench.loader(CHANGES["all four"])
    return found[0]


def report_memory(bench: Bench, ours_mb: float) -> None:
    batches_mb = (bench.threads + 3) * BATCH * SIZE_PX**2 * 3 / 2**20
    helpers = [
        process
        for process in psutil.Process().children()
        if "forkserver" in "".join(process.cmdline())
        for process in process.children()
    ]
    of_torch = sum(private_mb(process) for process in helpers)
    print(
        f"private memory: loader {ours_mb:.0f} MB with all four on, of which {batches_mb:.0f} MB "
        f"are {bench.threads + 3} batches; torch's helper processes {of_torch:.0f} MB"
    )


def report(rates: dict[str, list[float]]) -> bool:
    """Print all rates; whether the bars are kept."""
    for name, values in rates.items():
        print(
            f"  {name:17} {statistics.median(values):8.0f} images/s   "
            f"{ratio(rates, name, 'bare'):5.2f} of bare   {ratio(rates, name, 'torch'):5.2f} torch"
        )
    of_bare, of_torch = ratio(rates, "loader", "bare"), ratio(rates, "loader", "torch")
    print(f"bars: {of_bare:.3f} of bare (at least {BARE_SHARE}), ", end="")
    print(f"{of_torch:.2f} times torch (at least {TORCH_RATIO})")
    return of_bare >= BARE_SHARE and of_torch >= TORCH_RATIO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="1,024 images, three rounds")
    parser.add_argument("--threads", type=int, default=1, help="default 1, as for training")
    parser.add_argument("--processes", type=int, default=0, help="decode in so many processes")
    parser.add_argument("--only", nargs="*", help="ways to measure beside bare, loader and torch")
    parser.add_argument("--data", help="packed set of 112x112 JPEGs; default: synthetic faces")
    parser.add_argument("--rounds", type=int, help="rounds; default 11, small 3")
    options = parser.parse_args()
    num_images = 1024 if options.small else 16_384
    runs = options.rounds or (3 if options.small else 11)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or str(Path(folder, "faces"))
        if not options.data:
            write_faces(data, num_images)
        bench = Bench(data, num_images, options.threads, options.processes)
        by_processes = BareProcesses(data, SEED, num_images, bench.threads)
        ways: dict[str, Work] = {
            "bare": bench.bare,
            "bare by processes": by_processes.decode,
            "loader": bench.loader,
            "torch": bench.field,
            "float": bench.as_float,
            **{
                name: lambda change=change: bench.loader(change)  # type: ignore[misc]
                for name, change in CHANGES.items()
            },
        }
        if options.only is not None:
            kept_ways = {"bare", "bare by processes", "loader", "torch", *options.only}
            ways = {name: work for name, work in ways.items() if name in kept_ways}
        ours_mb = loader_memory(bench)
        for work in ways.values():
            work()
        where = f"{bench.threads} {'processes' if options.processes else 'threads'}"
        mean_kb = statistics.fmean(map(len, bench.blobs)) / 1024
        print(f"{num_images} images of {mean_kb:.1f} KB, {where}, {runs} rounds")
        kept = report(measure(ways, runs))
        report_memory(bench, ours_mb)
        by_processes.close()
    if not kept and not options.small:
        sys.exit("a bar is not kept")


if __name__ == "__main__":
    main()
