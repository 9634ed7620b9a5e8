"""Ten-fold verification: pair scores to an accuracy, by a named rule.

After `embedding`, before `bootstrap`: the accuracy is the default reward of a trial and the
number reported on pair sets. `rules` holds what the published routines do differently.

Shapes: P pairs, D dimensions, F folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.rules import RULES, Bools, Floats, Folds

__all__ = ["RULES", "Verification", "verify", "verify_scores"]


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

    Fold 0 sets the threshold of fold 1 just above the distance of its own same pair:

    >>> result = verify_scores([0.9, 0.1, 0.8, 0.2], [True, False, True, False], [0, 0, 1, 1])
    >>> result.accuracy, result.correct_P.tolist()
    (0.75, [True, True, False, True])
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


def _checked(measure_P: Floats, same_P: ArrayLike, fold_P: ArrayLike) -> Folds:
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
    return Folds(measure_P, same, fold, len(numbers))
