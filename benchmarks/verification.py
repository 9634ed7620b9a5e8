"""Ten-fold verification of 6,000 pairs against the published loop over thresholds.

    python benchmarks/verification.py [--small] [--repeats N]

The peers are written from the description of facenet's and insightface's routine: for every fold,
every one of 400 thresholds is applied to the training pairs by comparing whole arrays.

    lean       counts right decisions only: the least a loop can do
    published  counts true and false accepts and rejects, and those of the held-out fold as well

All start either from given distances or from embeddings, whose distances take the longest then.
Each round times ours and both peers one after the other; printed are medians of the times and of
the ratios within a round. Fails when a fold accuracy differs in a bit, or when the ratio to the
published loop, or to the lean one from given distances, is below 6. Nothing uses a second core.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lfs_ray.evaluation.verification import verify, verify_scores

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEAST_RATIO = 6.0
THRESHOLDS = np.arange(0, 4, 0.01)


def lean_loop(distance_P: Floats, same_P: Bools, fold_P: Ints) -> list[float]:
    accuracies = []
    for fold in range(fold_P.max() + 1):
        training, own = fold_P != fold, fold_P == fold
        distance, same = distance_P[training], same_P[training]
        right = [np.count_nonzero((distance < threshold) == same) for threshold in THRESHOLDS]
        best = THRESHOLDS[int(np.argmax(right))]
        accuracies.append(float(np.mean((distance_P[own] < best) == same_P[own])))
    return accuracies


def four_counts(threshold: float, distance: Floats, same: Bools) -> tuple[float, float, float]:
    accepted = np.less(distance, threshold)
    true_accepts = np.sum(np.logical_and(accepted, same))
    false_accepts = np.sum(np.logical_and(accepted, np.logical_not(same)))
    true_rejects = np.sum(np.logical_and(np.logical_not(accepted), np.logical_not(same)))
    false_rejects = np.sum(np.logical_and(np.logical_not(accepted), same))
    tpr = float(true_accepts) / float(true_accepts + false_rejects)
    fpr = float(false_accepts) / float(false_accepts + true_rejects)
    return tpr, fpr, float(true_accepts + true_rejects) / distance.size


def published_loop(distance_P: Floats, same_P: Bools, fold_P: Ints) -> list[float]:
    accuracies = []
    for fold in range(fold_P.max() + 1):
        training, own = np.flatnonzero(fold_P != fold), np.flatnonzero(fold_P == fold)
        of_training = np.zeros(len(THRESHOLDS))
        for place, threshold in enumerate(THRESHOLDS):
            counts = four_counts(threshold, distance_P[training], same_P[training])
            of_training[place] = counts[2]
        best = THRESHOLDS[int(np.argmax(of_training))]
        for threshold in THRESHOLDS:
            four_counts(threshold, distance_P[own], same_P[own])
        accuracies.append(four_counts(best, distance_P[own], same_P[own])[2])
    return accuracies


def pairs(num_pairs: int, dimensions: int) -> tuple[Floats, Floats, Bools, Ints]:
    """Unit rows of both sides, truth and fold; about 98 % right."""
    rng = np.random.default_rng(0)
    fold = np.arange(num_pairs) * 10 // num_pairs
    same = np.arange(num_pairs) % (num_pairs // 10) < num_pairs // 20
    first = rng.standard_normal((num_pairs, dimensions))
    second = rng.standard_normal((num_pairs, dimensions))
    second += np.where(same, rng.normal(0.8, 0.3, num_pairs), 0.0)[:, None] * first
    first, second = (side / np.linalg.norm(side, axis=1)[:, None] for side in (first, second))
    return first, second, same, fold


def seconds(work: Callable[[], list[float]]) -> tuple[float, list[float]]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compare(
    title: str,
    ours: Callable[[], list[float]],
    peers: dict[str, Callable[[], list[float]]],
    repeats: int,
) -> dict[str, float]:
    """Median ratio to each peer; all must give the same bits."""
    took: dict[str, list[float]] = {"ours": [], **{name: [] for name in peers}}
    for _ in range(repeats):
        time_s, expected = seconds(ours)
        took["ours"].append(time_s)
        for name, peer in peers.items():
            time_s, found = seconds(peer)
            took[name].append(time_s)
            if found != expected:
                sys.exit(f"fold accuracies differ: {name} {found}, ours {expected}")
    print(f"{title}: ours {1e3 * float(np.median(took['ours'])):.2f} ms")
    ratios = {}
    for name in peers:
        ratios[name] = float(np.median(np.array(took[name]) / np.array(took["ours"])))
        peer_ms = 1e3 * float(np.median(took[name]))
        print(f"  {name:10} {peer_ms:8.2f} ms   ratio {ratios[name]:6.1f}")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description="Verification against the published loop.")
    parser.add_argument("--small", action="store_true", help="600 pairs, three rounds")
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    num_pairs, repeats = (600, 3) if given.small else (6000, given.repeats)
    first, second, same, fold = pairs(num_pairs, 512)
    score = np.sum(first * second, axis=1)
    distance = 2 - 2 * score
    loops = {"lean": lean_loop, "published": published_loop}

    def of_embeddings(loop: Callable[[Floats, Bools, Ints], list[float]]) -> list[float]:
        return loop(np.sum(np.square(first - second), axis=1), same, fold)

    print(f"{num_pairs} pairs, 10 folds, rule insightface; fold accuracies equal in every bit")
    from_scores = compare(
        "from scores",
        lambda: list(verify_scores(score, same, fold).fold_accuracies),
        {name: functools.partial(loop, distance, same, fold) for name, loop in loops.items()},
        repeats,
    )
    from_embeddings = compare(
        "from embeddings of 512",
        lambda: list(verify(first, second, same, fold).fold_accuracies),
        {name: functools.partial(of_embeddings, loop) for name, loop in loops.items()},
        repeats,
    )
    ratios = [from_scores["lean"], from_scores["published"], from_embeddings["published"]]
    if not given.small and min(ratios) < LEAST_RATIO:
        sys.exit(f"ratios must be at least {LEAST_RATIO}, found {min(ratios):.1f}")


if __name__ == "__main__":
    main()
