"""Peak memory of training with the chunked classifier at a million classes. Bar: 9 GiB.

    python benchmarks/chunked_classifier.py [--small] [--classes N] [--chunk N] [--threads N]

Three steps of SGD with momentum, weight decay and clipping, as a trial takes them (32 px images,
`tiny` with a 512-d embedding, arcface, batch 128), in a process of its own; its peak resident size
is VmHWM. Then the dense and the chunked classifier at 50,000 classes, where both fit, each in a
process: median seconds of a step, and peaks. --small does the second part only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lfs_ray.config.sections import ModelConfig, OptimizerConfig
from lfs_ray.data.loader import Batch
from lfs_ray.losses.catalogue import build_loss
from lfs_ray.training.schedule import RateSchedule
from lfs_ray.training.state import TrainingState
from lfs_ray.training.steps import Loop

BAR_GIB = 9.0
NUM_CLASSES, NUM_CLASSES_SMALL = 1_000_000, 50_000
BATCH, EMBEDDING_DIM, INPUT_PX = 128, 512, 32
STEPS, STEPS_SMALL = 3, 5
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Measured:
    """What one process found."""

    peak_gib: float
    before_gib: float
    """Before the classifier was made."""
    steps_s: list[float]
    loss: float


def memory_gib(name: str) -> float:
    """A line of this process's status: VmRSS or VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / GIB
    return float("nan")


def batches(classes: int, count: int, steps_s: list[float]) -> Iterator[Batch]:
    """Random batches; notes how long each step took."""
    random = np.random.default_rng(0)
    shape = (BATCH, INPUT_PX, INPUT_PX, 3)
    for _ in range(count):
        images_BHWC = random.integers(0, 256, shape, np.uint8)
        labels_B = random.integers(0, classes, BATCH)
        began = time.perf_counter()
        yield Batch(images_BHWC, labels_B, 0, 0.0)
        steps_s.append(time.perf_counter() - began)


def train(classifier: str, classes: int, chunk: int, steps: int, threads: int) -> Measured:
    """Train in this process."""
    torch.set_num_threads(threads)
    model = ModelConfig(
        width=4,
        embedding_dim=EMBEDDING_DIM,
        input_size_px=INPUT_PX,
        classifier="chunked" if classifier == "chunked" else "dense",
        classifier_chunk=chunk,
    )
    optimizer = OptimizerConfig(
        batch_size=BATCH, momentum=0.9, weight_decay=5e-4, clip_norm=5.0, warmup_epochs=0.0
    )
    before_gib = memory_gib("VmHWM")
    device = torch.device("cpu")
    loss = build_loss("arcface")
    state = TrainingState(model, optimizer, classes, loss, device, init_seed=0)
    rates = RateSchedule(optimizer, BATCH * steps, BATCH * steps)
    loop = Loop(model=model, optimizer=optimizer, rates=rates, device=device, precision="fp32")
    steps_s: list[float] = []
    trained = loop.run(state, batches(classes, steps, steps_s), 0)
    return Measured(memory_gib("VmHWM"), before_gib, steps_s, trained.loss)


def in_child(classifier: str, classes: int, given: argparse.Namespace, steps: int) -> Measured:
    """Train in a process of its own."""
    options = [f"--classes={classes}", f"--chunk={given.chunk}", f"--threads={given.threads}"]
    command = [sys.executable, __file__, f"--child={classifier}", f"--steps={steps}", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout))


def show(name: str, found: Measured) -> None:
    step_s = statistics.median(found.steps_s[1:])
    print(
        f"{name:10}{found.peak_gib:8.2f} GiB at its peak ({found.before_gib:.2f} before the model)"
        f"{step_s:10.2f} s a step, the first {found.steps_s[0]:.2f} s; mean loss {found.loss:.6f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="50,000 classes only")
    parser.add_argument("--classes", type=int, help="classes of the first part")
    default = ModelConfig().classifier_chunk
    parser.add_argument("--chunk", type=int, default=default, help=f"default {default}")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--child", choices=("chunked", "dense"), help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        found = train(given.child, given.classes, given.chunk, given.steps, given.threads)
        print(json.dumps({name: getattr(found, name) for name in Measured.__slots__}))
        return
    if not given.small:
        classes = given.classes or NUM_CLASSES
        print(f"{classes:,} classes x {EMBEDDING_DIM}, batch {BATCH}, chunks of {given.chunk}")
        found = in_child("chunked", classes, given, STEPS)
        show("chunked", found)
        reached = "reached" if found.peak_gib <= BAR_GIB else "not reached"
        print(f"bar {BAR_GIB:g} GiB: {reached}\n")
    print(f"{NUM_CLASSES_SMALL:,} classes x {EMBEDDING_DIM}, batch {BATCH}")
    for name in ("dense", "chunked"):
        show(name, in_child(name, NUM_CLASSES_SMALL, given, STEPS_SMALL))


if __name__ == "__main__":
    main()
