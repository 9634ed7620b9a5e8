"""Ten-fold verification: pair scores to an accuracy, by a named rule.

After `embedding`, before `bootstrap`: the accuracy is the default reward of a trial and the
number reported on pair sets. Published routines differ in score, thresholds and standard
error, by as much as losses differ on LFW, so every result carries the name of its rule:

    insightface   squared distance of unit vectors, 400 fixed thresholds, same when d < t;
                  population deviation of the folds (deepinsight/insightface)
    facex         float32 dot product, 1000 thresholds between the extremes of the training
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
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

_DISTANCES = np.arange(0, 4, 0.01)
_NUM_STEPS = 1000
_LFS_SHIFT = 2e-6


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of a rule on a pair set."""

    accuracy: float
    """Mean of the fold accuracies, in [0, 1]."""
    std: float
    """Spread as the rule reports it: deviation of the folds, or standard error."""
    thresholds: tuple[float, ...]
    """Threshold of each fold, in order of fold number: squared distance, or score."""
    correct_P: Bools
    """Whether the pair was decided rightly by its own fold's threshold."""
    scores_P: NDArray[np.float64]
    """Similarity, high for the same person: cosine (1 - d/2 for a squared distance d)."""
    rule: str
    flip: str


@dataclass(frozen=True, slots=True)
class _Folds:
    """Checked input of a rule: the measure (score or distance), truth and fold of each pair."""

    measure_P: Floats
    same_P: Bools
    fold_P: NDArray[np.intp]
    num_folds: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A published routine, as functions."""

    measure: Callable[[Floats, Floats], Floats]
    """Unit embeddings of both sides (P, D) to what is compared with thresholds (P,)."""
    from_score: Callable[[Floats], Floats]
    """Cosine to the measure."""
    to_score: Callable[[Floats], Floats]
    """Measure to similarity."""
    thresholds: Callable[[_Folds], NDArray[np.float64]]
    """One threshold a fold (F,), each from the other folds."""
    decide: Callable[[Floats, Bools, Floats], Bools]
    """Measure, truth and threshold of each pair to whether the decision is right."""
    spread: Callable[[NDArray[np.float64]], float]
    """Fold accuracies (F,) to the reported spread."""


def verify(
    first_PD: ArrayLike,
    second_PD: ArrayLike,
    same_P: ArrayLike,
    fold_P: ArrayLike,
    *,
    rule: str = "insightface",
    flip: str = "none",
) -> Verification:
    """Accuracy on pairs of combined embeddings (`embedding.combine_views`).

    Args:
        first_PD, second_PD: unit embeddings of both sides, (P, D); a zero row is allowed.
        same_P: truth, boolean (P,).
        fold_P: fold number of each pair, (P,) integers; sizes may differ.
        rule: a name in RULES.
        flip: name of the combination of views; only noted in the result.

    Raises:
        DataError: see `verify_scores`.
    """
    first, second = np.asarray(first_PD), np.asarray(second_PD)
    if first.ndim != 2 or first.shape != second.shape:
        raise DataError(
            f"both sides of the pairs must have one shape (pairs, dimensions), found "
            f"{first.shape} and {second.shape}: embed both images of every pair"
        )
    measure = RULES[rule].measure(first, second)
    return _verify(measure, same_P, fold_P, rule, flip)


def verify_scores(
    scores_P: ArrayLike,
    same_P: ArrayLike,
    fold_P: ArrayLike,
    *,
    rule: str = "insightface",
    flip: str = "none",
) -> Verification:
    """Accuracy on given cosines.

    Args:
        scores_P: cosines in [-1, 1], (P,).
        same_P, fold_P, rule, flip: as in `verify`.

    Raises:
        DataError: lengths differ; a score is not finite; fewer than two folds; the training
            part of a fold has pairs of one class only.

    >>> result = verify_scores([0.9, 0.1, 0.8, 0.2], [True, False, True, False], [0, 0, 1, 1])
    >>> result.accuracy, len(result.thresholds)
    (1.0, 2)
    """
    measure = RULES[rule].from_score(np.asarray(scores_P, dtype=np.float64))
    return _verify(measure, same_P, fold_P, rule, flip)


def _verify(
    measure_P: Floats, same_P: ArrayLike, fold_P: ArrayLike, name: str, flip: str
) -> Verification:
    rule = RULES[name]
    folds = _checked(measure_P, same_P, fold_P)
    thresholds_F = rule.thresholds(folds)
    threshold_P = thresholds_F[folds.fold_P]
    correct_P = rule.decide(folds.measure_P, folds.same_P, threshold_P)
    sizes_F = np.bincount(folds.fold_P, minlength=folds.num_folds)
    accuracy_F = np.bincount(folds.fold_P, weights=correct_P, minlength=folds.num_folds) / sizes_F
    return Verification(
        accuracy=float(np.mean(accuracy_F)),
        std=rule.spread(accuracy_F),
        thresholds=tuple(float(value) for value in thresholds_F),
        correct_P=correct_P,
        scores_P=rule.to_score(folds.measure_P).astype(np.float64),
        rule=name,
        flip=flip,
    )


def _checked(measure_P: Floats, same_P: ArrayLike, fold_P: ArrayLike) -> _Folds:
    """Input as arrays, with folds numbered 0..F-1; what cannot be computed is refused."""
    same = np.asarray(same_P).astype(np.bool_)
    numbers, fold = np.unique(np.asarray(fold_P), return_inverse=True)
    if measure_P.ndim != 1 or not measure_P.shape == same.shape == fold.shape:
        raise DataError(
            f"scores, truth and folds must have one entry a pair, found shapes "
            f"{measure_P.shape}, {same.shape} and {fold.shape}: check the pair list"
        )
    bad = np.flatnonzero(~np.isfinite(measure_P))
    if bad.size:
        raise DataError(
            f"pair scores must be finite, found {measure_P[bad[0]]} at pair {bad[0]} "
            f"({bad.size} in all): check the model's embeddings"
        )
    if len(numbers) < 2:
        raise DataError(
            f"verification must have at least 2 folds, found {len(numbers)}: "
            "give the pairs a fold number"
        )
    same_F = np.bincount(fold, weights=same, minlength=len(numbers))
    training_same_F = same.sum() - same_F
    training_F = len(same) - np.bincount(fold, minlength=len(numbers))
    one_class = np.flatnonzero((training_same_F == 0) | (training_same_F == training_F))
    if one_class.size:
        raise DataError(
            f"the folds besides fold {numbers[one_class[0]]} must have same and different "
            f"pairs, found {int(training_same_F[one_class[0]])} same of "
            f"{int(training_F[one_class[0]])}: deal both classes to every fold"
        )
    return _Folds(measure_P, same, fold, len(numbers))


def _distance_thresholds(folds: _Folds) -> NDArray[np.float64]:
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
    folds: _Folds, counted_at: Callable[[Floats, float], Floats], side: str
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


def _facex_thresholds(folds: _Folds) -> NDArray[np.float64]:
    return _range_thresholds(folds, lambda at, step: at, "right")


def _lfs_thresholds(folds: _Folds) -> NDArray[np.float64]:
    return _range_thresholds(folds, lambda at, step: at - step / 2 + _LFS_SHIFT, "left")


def _squared_distance(first_PD: Floats, second_PD: Floats) -> Floats:
    return np.asarray(np.sum(np.square(first_PD - second_PD), axis=1))


def _dot_float32(first_PD: Floats, second_PD: Floats) -> Floats:
    return _dot(first_PD.astype(np.float32), second_PD.astype(np.float32))


def _dot(first_PD: Floats, second_PD: Floats) -> Floats:
    return np.asarray(np.einsum("pd,pd->p", first_PD, second_PD))


def _unchanged(values: Floats) -> Floats:
    return values


def _standard_error(accuracy_F: NDArray[np.float64], ddof: int) -> float:
    return float(np.std(accuracy_F, ddof=ddof) / np.sqrt(len(accuracy_F)))


RULES = {
    "insightface": Rule(
        measure=_squared_distance,
        from_score=lambda score: 2 - 2 * score,
        to_score=lambda distance: 1 - distance / 2,
        thresholds=_distance_thresholds,
        decide=lambda distance, same, threshold: (distance < threshold) == same,
        spread=lambda accuracy: float(np.std(accuracy)),
    ),
    "facex": Rule(
        measure=_dot_float32,
        from_score=_unchanged,
        to_score=_unchanged,
        thresholds=_facex_thresholds,
        decide=lambda score, same, at: np.where(same, score > at, score < at),
        spread=lambda accuracy: _standard_error(accuracy, ddof=1),
    ),
    "lfs": Rule(
        measure=_dot,
        from_score=_unchanged,
        to_score=_unchanged,
        thresholds=_lfs_thresholds,
        decide=lambda score, same, threshold: (score >= threshold) == same,
        spread=lambda accuracy: _standard_error(accuracy, ddof=0),
    ),
}
"""Rules by name; `insightface` is the number everyone quotes."""
