"""Pairs dealt to folds, checked: what every ten-fold rule works on.

After `embedding` or a list of scores, before `rules` (accuracy) and `val_far`.

Shapes: P pairs, F folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

PUBLISHED_FOLDS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """What a rule works on: the measure (score or distance), truth and fold of each pair."""

    measure_P: Floats
    same_P: Bools
    fold_P: NDArray[np.intp]
    num_folds: int

    def notes(self) -> tuple[str, ...]:
        """What sets the result apart from a published one, a line each."""
        if self.num_folds >= PUBLISHED_FOLDS:
            return ()
        return (f"{self.num_folds} folds, published results have {PUBLISHED_FOLDS}",)


def make_folds(measure_P: Floats, same_P: ArrayLike, fold_P: ArrayLike) -> Folds:
    """Input as arrays, with folds numbered 0..F-1 in the order of their numbers.

    Args:
        measure_P: score or distance of each pair, (P,).
        same_P: truth, boolean (P,).
        fold_P: fold number of each pair, integers (P,); sizes may differ.

    Raises:
        DataError: lengths differ; a measure is not finite; fewer than two folds; the training
            part of a fold has pairs of one class only.
    """
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
            "give the pairs a fold number, or have them dealt anew"
        )
    _check_classes(same, fold, numbers)
    return Folds(measure_P, same, fold, len(numbers))


def _check_classes(same: Bools, fold: NDArray[np.intp], numbers: NDArray[np.generic]) -> None:
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
