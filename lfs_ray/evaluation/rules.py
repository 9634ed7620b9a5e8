"""Rules of ten-fold verification: score, thresholds, decision and spread, by name.

`verification` applies them. Published routines differ by as much as losses differ on LFW, so
every result carries the name of its rule:

    insightface   squared distance of unit vectors, 400 fixed thresholds, same when d < t;
                  population deviation of the folds (deepinsight/insightface)
    facex-zoo     float32 dot product, 1000 thresholds between the extremes of the training
                  folds, best TPR - FPR; s = t is wrong either way; standard error
                  (JDAI-CV/FaceX-Zoo)
    lfs           cosine, the same thresholds, rates counted half a bin below the threshold
                  that decides, same when s >= t; standard error
                  (tiandunx/loss_function_search)

Shapes: P pairs, D dimensions, F folds, T thresholds. A fold's threshold comes from the other
folds only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.evaluation.folds import Bools, Floats, Folds

_DISTANCES = np.arange(0, 4, 0.01)
_NUM_STEPS = 1000
_LFS_SHIFT = 2e-6
_CACHED_ROWS = 128


@dataclass(frozen=True, slots=True)
class Rule:
    """A published routine, as functions."""

    name: str
    """As in every result and table."""
    measure: Callable[[Floats, Floats], Floats]
    """Unit embeddings of both sides (P, D) to what is compared with thresholds (P,)."""
    from_score: Callable[[Floats], Floats]
    """Cosine to the measure."""
    to_score: Callable[[Floats], Floats]
    """Measure to similarity."""
    thresholds: Callable[[Folds], NDArray[np.float64]]
    """One threshold a fold (F,), each from the other folds."""
    decide: Callable[[Floats, Bools, Floats], Bools]
    """Measure, truth and threshold of each pair to whether the decision is right."""
    spread: Callable[[NDArray[np.float64]], float]
    """Fold accuracies (F,) to the reported spread."""


def _distance_thresholds(folds: Folds) -> NDArray[np.float64]:
    """First of 400 fixed distances with the most right decisions on the other folds.

    Counts by binary search in the sorted distances of each fold and class; left, because a
    pair is the same when d < t. Counts of the other folds are the total less the own.
    """
    right_FT = np.zeros((folds.num_folds, len(_DISTANCES)), dtype=np.int64)
    for fold in range(folds.num_folds):
        inside = folds.fold_P == fold
        same = np.sort(folds.measure_P[inside & folds.same_P])
        different = np.sort(folds.measure_P[inside & ~folds.same_P])
        right_FT[fold] += np.searchsorted(same, _DISTANCES, side="left")
        right_FT[fold] += len(different) - np.searchsorted(different, _DISTANCES, side="left")
    training_FT = right_FT.sum(axis=0) - right_FT
    return np.asarray(_DISTANCES[np.argmax(training_FT, axis=1)])


def _range_thresholds(
    folds: Folds, counted_at: Callable[[Floats, float], Floats], side: str
) -> NDArray[np.float64]:
    """First of 1000 steps over the other folds' range with the largest TPR - FPR.

    Args:
        counted_at: thresholds and their step to where the rates are counted.
        side: "right" counts s > t, "left" counts s >= t.
    """
    chosen = np.empty(folds.num_folds)
    for fold in range(folds.num_folds):
        outside = folds.fold_P != fold
        same = np.sort(folds.measure_P[outside & folds.same_P])
        different = np.sort(folds.measure_P[outside & ~folds.same_P])
        lowest = float(min(same[0], different[0]))
        step = (float(max(same[-1], different[-1])) - lowest) / _NUM_STEPS
        thresholds = lowest + step * np.arange(1, _NUM_STEPS + 1)
        at = counted_at(thresholds, step)
        tpr = _share_above(same, at, side)
        fpr = _share_above(different, at, side)
        chosen[fold] = thresholds[np.argmax(tpr - fpr)]
    return chosen


def _share_above(sorted_scores: Floats, at: Floats, side: str) -> NDArray[np.float64]:
    below = (
        np.searchsorted(sorted_scores, at, side="right")
        if side == "right"
        else np.searchsorted(sorted_scores, at, side="left")
    )
    return (len(sorted_scores) - below) / len(sorted_scores)


def _facex_thresholds(folds: Folds) -> NDArray[np.float64]:
    return _range_thresholds(folds, lambda at, step: at, "right")


def _lfs_thresholds(folds: Folds) -> NDArray[np.float64]:
    return _range_thresholds(folds, lambda at, step: at - step / 2 + _LFS_SHIFT, "left")


def _squared_distance(first_PD: Floats, second_PD: Floats) -> Floats:
    """Sums of squared differences; rows in portions that stay in the cache, the same bits."""
    distance_P = np.empty(len(first_PD), np.result_type(first_PD, second_PD))
    for start in range(0, len(first_PD), _CACHED_ROWS):
        rows = slice(start, start + _CACHED_ROWS)
        difference_BD = first_PD[rows] - second_PD[rows]
        np.sum(np.square(difference_BD), axis=1, out=distance_P[rows])
    return distance_P


def _dot_float32(first_PD: Floats, second_PD: Floats) -> Floats:
    return _dot(first_PD.astype(np.float32), second_PD.astype(np.float32))


def _dot(first_PD: Floats, second_PD: Floats) -> Floats:
    return np.asarray(np.einsum("pd,pd->p", first_PD, second_PD))


def _unchanged(values: Floats) -> Floats:
    return values


def _standard_error(accuracy_F: NDArray[np.float64], ddof: int) -> float:
    return float(np.std(accuracy_F, ddof=ddof) / np.sqrt(len(accuracy_F)))


_INSIGHTFACE = Rule(
    name="insightface",
    measure=_squared_distance,
    from_score=lambda score: 2 - 2 * score,
    to_score=lambda distance: 1 - distance / 2,
    thresholds=_distance_thresholds,
    decide=lambda distance, same, threshold: (distance < threshold) == same,
    spread=lambda accuracy: float(np.std(accuracy)),
)
_FACEX_ZOO = Rule(
    name="facex-zoo",
    measure=_dot_float32,
    from_score=_unchanged,
    to_score=_unchanged,
    thresholds=_facex_thresholds,
    decide=lambda score, same, at: np.where(same, score > at, score < at),
    spread=lambda accuracy: _standard_error(accuracy, ddof=1),
)
_LFS = Rule(
    name="lfs",
    measure=_dot,
    from_score=_unchanged,
    to_score=_unchanged,
    thresholds=_lfs_thresholds,
    decide=lambda score, same, threshold: (score >= threshold) == same,
    spread=lambda accuracy: _standard_error(accuracy, ddof=0),
)

RULES = {
    "insightface": _INSIGHTFACE,
    "facex-zoo": _FACEX_ZOO,
    "facex": _FACEX_ZOO,
    "lfs": _LFS,
}
"""Rules by name; `insightface` is the number everyone quotes, `facex` is short for `facex-zoo`."""

RULE_NAMES = tuple(dict.fromkeys(rule.name for rule in RULES.values()))
"""Each rule once, by the name results carry."""
