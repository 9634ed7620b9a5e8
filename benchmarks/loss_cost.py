"""What a loss costs: forward and backward, relative to F.cross_entropy(s * cos, labels).

    python benchmarks/loss_cost.py [--small] [--only NAME] [--threads N] [--repeats N]

One table for each number of classes, one row a loss of the catalogue. Times are medians over pairs
of runs, one of the loss and one of what it is compared with, in alternating order, so that a busy
machine slows both. Memory is the most that a run holds beyond what it was given, as the allocator
counts it. "loss" starts from given cosines; "linear" includes the 512-d cosine classifier on both
sides; "pml" is our figure with linear by pytorch-metric-learning's same loss, which includes its
own. A bar is on the time of the loss alone, at 10,572 and 85,742 classes (at 1,000 the fixed cost
of calls shows); the bar on time by pytorch-metric-learning's is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytorch_metric_learning.losses as pml
import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from lfs_ray.losses.catalogue import LOSSES, build_loss
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.spec import HeadSize
from lfs_ray.models.classifier import CosineClassifier
from lfs_ray.training.head import head_loss

BATCH = 128
EMBEDDING_DIM = 512
SCALE = 32.0
NUM_CLASSES = (10_572, 85_742)
NUM_CLASSES_SMALL = (1_000,)
THETA: dict[str, tuple[float, ...]] = {
    "global": (0.35,),
    "local": tuple(0.05 * j for j in range(10)),
    "am_lfs": (
        *(1.2, 1.1, 1.0, 1.0, 0.9, 0.8),
        *(-0.1, -0.15, -0.2, -0.25, -0.3, -0.35),
        *(0.9, 0.95, 1.0, 1.05, 1.1, 1.15),
        *(0.001, 0.002, 0.003, -0.02, -0.08, -0.15),
    ),
    "random_margin": (0.35, 0.05),
    "taylor": (0.5, 0.0, -0.69, 0.0, 0.0, 2.0, 0.0, -4.0),
}
SINGLE_MARGIN, MORE = 1.10, 1.50
BARS: dict[str, float] = {
    **dict.fromkeys(("normface", "am_softmax", "arcface", "combined", "global"), SINGLE_MARGIN),
    **dict.fromkeys(("sub_center_arcface", "adam_softmax", "sphereface_r"), SINGLE_MARGIN),
    **dict.fromkeys(("elastic_arc", "elastic_cos", "random_margin"), SINGLE_MARGIN),
    **dict.fromkeys(("magface", "adaface"), SINGLE_MARGIN),
    **dict.fromkeys(("local", "mv_am", "mv_arc", "curricularface", "am_lfs"), MORE),
}
MARGIN_DEG = 28.6
ANNEALED = {"schedule": "constant", "lambda_floor": 0.0}
SAME: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "normface": ({"scale": 20.0}, "NormalizedSoftmaxLoss", {"temperature": 0.05}),
    "am_softmax": ({}, "CosFaceLoss", {"margin": 0.35, "scale": 64}),
    "arcface": (
        {"margin": math.radians(MARGIN_DEG)},
        "ArcFaceLoss",
        {"margin": MARGIN_DEG, "scale": 64},
    ),
    "sub_center_arcface": (
        {"margin": math.radians(MARGIN_DEG), "sub_centers": 3},
        "SubCenterArcFaceLoss",
        {"margin": MARGIN_DEG, "scale": 64, "sub_centers": 3},
    ),
    "l_softmax": (ANNEALED, "LargeMarginSoftmaxLoss", {"margin": 4, "scale": 1}),
    "a_softmax": (ANNEALED, "SphereFaceLoss", {"margin": 4, "scale": 1}),
}
"""Our options, pytorch-metric-learning's class and its options for the same loss."""

Step = Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class Timed:
    """A step with the leaves whose gradients it leaves."""

    step: Step
    leaves: list[Tensor]

    def cleared(self) -> None:
        """Drop the gradients of the last run."""
        for leaf in self.leaves:
            leaf.grad = None

    def seconds(self) -> float:
        """How long forward and backward took."""
        self.cleared()
        began = time.perf_counter()
        torch.autograd.backward(self.step())
        return time.perf_counter() - began

    def peak_bytes(self) -> int:
        """Most bytes that a run held beyond what there was before."""
        self.cleared()
        with quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            torch.autograd.backward(self.step())
        assert seen.profiler is not None
        found = seen.profiler.kineto_results.events()
        changes = [event.nbytes() for event in found if event.name() == "[memory]"]
        return max(itertools.accumulate(changes))


@dataclass(frozen=True, slots=True)
class Compared:
    """One step by another."""

    ms: float
    time: float
    memory: float


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the lines that the profiler writes past Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def compared(ours: Timed, other: Timed, repeats: int) -> Compared:
    """Medians over pairs of runs, after one of each."""
    ours.seconds(), other.seconds()
    ratios, times_s = [], []
    gc.disable()
    for repeat in range(repeats):
        if repeat % 2:
            ours_s, other_s = ours.seconds(), other.seconds()
        else:
            other_s, ours_s = other.seconds(), ours.seconds()
        ratios.append(ours_s / other_s)
        times_s.append(ours_s)
    gc.enable()
    memory = ours.peak_bytes() / other.peak_bytes()
    return Compared(1e3 * statistics.median(times_s), statistics.median(ratios), memory)


def cross_entropy(cos_BC: Tensor, labels_B: Tensor) -> Tensor:
    return functional.cross_entropy(SCALE * cos_BC, labels_B)


def built(name: str, num_classes: int, options: dict[str, Any]) -> ClassifierLoss:
    """A loss with its own defaults, which differ in scale, and these options."""
    size = HeadSize(
        num_classes=num_classes,
        embedding_dim=EMBEDDING_DIM,
        epoch_images=BATCH,
        batch_size=BATCH,
    )
    return build_loss(name, size=size, theta=THETA.get(name, ()), **options)


class Bench:
    """Embeddings, centres and labels of one table."""

    def __init__(self, num_classes: int, repeats: int) -> None:
        torch.manual_seed(0)
        self.num_classes = num_classes
        self.repeats = repeats
        self.labels_B = torch.randint(num_classes, (BATCH,))
        self.x_BD = torch.randn(BATCH, EMBEDDING_DIM, requires_grad=True)
        self.classifier = CosineClassifier(EMBEDDING_DIM, num_classes)
        self.cos_BC = self.classifier(self.x_BD).detach().requires_grad_()

    def seen(self, loss: ClassifierLoss) -> Seen:
        """What the loss needs beside cosines, given with them."""
        weight_CD = self.classifier.weight_CD.detach()
        x_BD, needs = self.x_BD.detach(), loss.needs
        return Seen(
            self.labels_B,
            norms_B=x_BD.norm(dim=1).requires_grad_() if "norms" in needs else None,
            weight_norms_C=(
                weight_CD.norm(dim=1).requires_grad_() if "weight_norms" in needs else None
            ),
            embedding_BD=x_BD.requires_grad_() if "embeddings" in needs else None,
        )

    def alone(self, name: str) -> Compared:
        """The loss from given cosines, by cross-entropy."""
        loss = built(name, self.num_classes, {})
        seen = self.seen(loss)
        beside = (seen.norms_B, seen.weight_norms_C, seen.embedding_BD, *loss.parameters())
        leaves = [self.cos_BC, *(leaf for leaf in beside if leaf is not None)]
        ours = Timed(lambda: loss(self.cos_BC, self.labels_B, seen), leaves)
        base = Timed(lambda: cross_entropy(self.cos_BC, self.labels_B), leaves)
        return compared(ours, base, self.repeats)

    def with_linear(self, name: str, options: dict[str, Any]) -> Timed:
        """The loss and its classifier."""
        loss, classifier = built(name, self.num_classes, options), self.classifier
        if loss.sub_centers > 1:
            classifier = CosineClassifier(EMBEDDING_DIM, self.num_classes, loss.sub_centers)
        leaves = [self.x_BD, classifier.weight_CD, *loss.parameters()]
        return Timed(lambda: head_loss(classifier, loss, self.x_BD, self.labels_B), leaves)

    def base(self) -> Timed:
        """Cross-entropy and the classifier."""

        def step() -> Tensor:
            return cross_entropy(self.classifier(self.x_BD), self.labels_B)

        return Timed(step, [self.x_BD, self.classifier.weight_CD])

    def theirs(self, name: str, options: dict[str, Any]) -> Timed:
        """A loss of pytorch-metric-learning, which holds the centres."""
        loss = getattr(pml, name)(
            num_classes=self.num_classes, embedding_size=EMBEDDING_DIM, **options
        )
        return Timed(lambda: loss(self.x_BD, self.labels_B), [self.x_BD, *loss.parameters()])

    def row(self, name: str) -> tuple[str, bool]:
        """A row of the table, and whether its bars were reached."""
        alone = self.alone(name)
        few = max(3, self.repeats // 3)
        full = compared(self.with_linear(name, {}), self.base(), few)
        text = f"{name:19}{_cells(alone)}{_cells(full)}"
        bar = BARS.get(name, math.inf) if self.num_classes in NUM_CLASSES else math.inf
        reached = alone.time <= bar
        if name in SAME:
            options, their_name, their_options = SAME[name]
            theirs = self.theirs(their_name, their_options)
            same = compared(self.with_linear(name, options), theirs, few)
            text += f"{same.time:7.2f}{same.memory:8.2f}"
            reached = reached and same.time <= 1.0
        else:
            text += f"{'':15}"
        return text + ("" if bar == math.inf else f"{bar:7.2f}"), reached


def _cells(found: Compared) -> str:
    return f"{found.ms:9.1f}{found.time:7.2f}{found.memory:8.2f}"


def table(num_classes: int, repeats: int, names: list[str]) -> list[str]:
    """Print a table; returns the losses over their bars."""
    threads = torch.get_num_threads()
    print(f"\n{num_classes:,} classes, batch {BATCH}, {threads} thread(s), {repeats} pairs")
    loss, linear = (f"{name:>9}{'time':>7}{'memory':>8}" for name in ("loss, ms", "linear"))
    print(f"{'':19}{loss}{linear}{'pml':>7}{'memory':>8}{'bar':>7}")
    bench, over = Bench(num_classes, repeats), []
    for name in names:
        text, reached = bench.row(name)
        print(text + ("" if reached else "  not reached"), flush=True)
        over += [] if reached else [name]
    return over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="1,000 classes, few repeats")
    parser.add_argument("--only", choices=LOSSES, metavar="NAME", help="one loss of the catalogue")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repeats", type=int, help="pairs of runs (default 15, --small 5)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    repeats = given.repeats or (5 if given.small else 15)
    names = [given.only] if given.only else list(LOSSES)
    over: list[str] = []
    for num_classes in NUM_CLASSES_SMALL if given.small else NUM_CLASSES:
        over += table(num_classes, repeats, names)
    print(f"\nbars not reached: {', '.join(over) or 'none'}")


if __name__ == "__main__":
    main()
