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
from lfs_ray.evaluation.folds import Bools, Floats, make_folds
from lfs_ray.evaluation.rules import RULE_NAMES, RULES, Rule

__all__ = ["RULES", "RULE_NAMES", "Verification", "verify", "verify_scores"]


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of a rule on a pair set."""

    accuracy: float
    """Mean of the fold accuracies, in [0, 1]."""
    fold_accuracies: tuple[float, ...]
    """Accuracy of each fold, in order of fold number."""
    std: float
    """Spread as the rule reports it: deviation of the folds, or standard error."""
    thresholds: tuple[float, ...]
    """Threshold of each fold, in order of fold number: squared distance, or score."""
    correct_P: Bools
    """Whether the pair was decided rightly by its own fold's threshold."""
    scores_P: NDArray[np.float64]
    """Similarity, high for the same person: cosine (1 - d/2 for a squared distance d)."""
    rule: str
    """The rule's own name: `facex-zoo` also where the short `facex` was asked for."""
    flip: str
    notes: tuple[str, ...] = ()
    """What sets the result apart from a published one, a line each: fewer than ten folds, images
    without direction (zero embeddings)."""


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
    measure = _rule(rule).measure(first, second)
    zeros = int(np.sum(_zero_rows(first) | _zero_rows(second)))
    notes = (f"{zeros} of {len(first)} pairs have a zero embedding",) if zeros else ()
    return _verify(measure, same_P, fold_P, rule, flip, notes)


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
    measure = _rule(rule).from_score(np.asarray(scores_P, dtype=np.float64))
    return _verify(measure, same_P, fold_P, rule, flip)


def _verify(
    measure_P: Floats,
    same_P: ArrayLike,
    fold_P: ArrayLike,
    name: str,
    flip: str,
    notes: tuple[str, ...] = (),
) -> Verification:
    rule = _rule(name)
    folds = make_folds(measure_P, same_P, fold_P)
    thresholds_F = rule.thresholds(folds)
    threshold_P = thresholds_F[folds.fold_P]
    correct_P = rule.decide(folds.measure_P, folds.same_P, threshold_P)
    sizes_F = np.bincount(folds.fold_P, minlength=folds.num_folds)
    accuracy_F = np.bincount(folds.fold_P, weights=correct_P, minlength=folds.num_folds) / sizes_F
    return Verification(
        accuracy=float(np.mean(accuracy_F)),
        fold_accuracies=tuple(float(value) for value in accuracy_F),
        std=rule.spread(accuracy_F),
        thresholds=tuple(float(value) for value in thresholds_F),
        correct_P=correct_P,
        scores_P=rule.to_score(folds.measure_P).astype(np.float64),
        rule=rule.name,
        flip=flip,
        notes=folds.notes() + notes,
    )


def _zero_rows(rows_PD: Floats) -> Bools:
    zero_P = np.logical_not(rows_PD[:, :1].any(axis=1))
    zero_P[zero_P] = np.logical_not(rows_PD[zero_P].any(axis=1))
    return zero_P


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise ValueError(f"the rule must be one of {', '.join(RULE_NAMES)}, found {name!r}")
    return RULES[name]
