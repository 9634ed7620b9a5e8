"""What a loss costs: forward and backward, relative to F.cross_entropy(s * cos, labels).

    python benchmarks/loss_cost.py [--small] [--threads N] [--repeats N]

One table for each number of classes. Every figure is the median over pairs of runs, one of the
loss and one of cross-entropy, in alternating order, so that a busy machine slows both. "loss"
starts from given cosines; "with linear" includes the 512-d cosine classifier on both sides.
"released form" is softmax, ratio, logarithm, as the published code of Search-Softmax computes it.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.models.classifier import CosineClassifier

BATCH = 128
EMBEDDING_DIM = 512
SCALE = 32.0
NUM_CLASSES = (10_572, 85_742)
NUM_CLASSES_SMALL = (1_000,)
LIMITS = {"global": 1.10, "local": 1.50}

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(cos_BC: Tensor, labels_B: Tensor) -> Tensor:
    return functional.cross_entropy(SCALE * cos_BC, labels_B)


def released_form(cos_BC: Tensor, labels_B: Tensor) -> Tensor:
    p_B = torch.softmax(SCALE * cos_BC, dim=1).gather(1, labels_B.unsqueeze(1)).squeeze(1)
    a = -1000.0
    return -torch.log(p_B / (a * p_B + 1.0 - a)).mean()


LOSSES: dict[str, Loss] = {
    "normface": build_loss("normface", scale=SCALE),
    "am_softmax": build_loss("am_softmax", scale=SCALE, margin=0.35),
    "arcface": build_loss("arcface", scale=SCALE, margin=0.5),
    "global": build_loss("global", scale=SCALE, theta=[0.35]),
    "local": build_loss("local", scale=SCALE, theta=[0.05 * j for j in range(10)]),
    "released form": released_form,
}


def seconds(step: Callable[[], Tensor], leaves: list[Tensor]) -> float:
    for leaf in leaves:
        leaf.grad = None
    start = time.perf_counter()
    torch.autograd.backward(step())
    return time.perf_counter() - start


def ratio(
    step: Callable[[], Tensor], base: Callable[[], Tensor], leaves: list[Tensor], repeats: int
) -> tuple[float, float]:
    """Median over pairs of step's time by base's, and the median of step's time in ms."""
    seconds(step, leaves), seconds(base, leaves)
    ratios, times = [], []
    gc.disable()
    for repeat in range(repeats):
        if repeat % 2:
            ours, theirs = seconds(step, leaves), seconds(base, leaves)
        else:
            theirs, ours = seconds(base, leaves), seconds(step, leaves)
        ratios.append(ours / theirs)
        times.append(ours)
    gc.enable()
    return statistics.median(ratios), 1e3 * statistics.median(times)


def table(num_classes: int, repeats: int) -> None:
    torch.manual_seed(0)
    labels_B = torch.randint(num_classes, (BATCH,))
    classifier = CosineClassifier(EMBEDDING_DIM, num_classes)
    x_BD = torch.randn(BATCH, EMBEDDING_DIM, requires_grad=True)
    cos_BC = classifier(x_BD).detach().requires_grad_()
    print(f"\n{num_classes:,} classes, batch {BATCH}, {torch.get_num_threads()} thread(s), ms")
    print(f"{'':16}{'loss':>10}{'ratio':>8}{'with linear':>14}{'ratio':>8}   limit")
    for name, loss in LOSSES.items():

        def alone(loss: Loss = loss) -> Tensor:
            return loss(cos_BC, labels_B)

        def whole(loss: Loss = loss) -> Tensor:
            return loss(classifier(x_BD), labels_B)

        part, part_ms = ratio(alone, lambda: alone(cross_entropy), [cos_BC], repeats)
        leaves = [x_BD, classifier.weight_CD]
        full, full_ms = ratio(whole, lambda: whole(cross_entropy), leaves, max(3, repeats // 3))
        limit = f"{LIMITS[name]:.2f}" if name in LIMITS else ""
        print(
            f"{name:16}{part_ms:10.1f}{part:8.2f}{full_ms:14.1f}{full:8.2f}   {limit}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="1,000 classes only, seconds")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of runs (default 15)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for num_classes in NUM_CLASSES_SMALL if given.small else NUM_CLASSES:
        table(num_classes, given.repeats)


if __name__ == "__main__":
    main()
