"""VAL@FAR over folds, rule `adjacent`: the facenet measure without its crash.

After the pair scores, beside the accuracy of `verification`. Per fold, on squared distances of
unit vectors: thresholds T = 0, .001, ..., 3.999; FAR_i is the share of different training pairs
with d < T_i. The threshold of the target lies on the line between the last grid point whose FAR
is at most the target and the next one; it is applied to the fold itself. If no training FAR
reaches the target the threshold is 0.

The published routine (davidsandberg/facenet, deepinsight/insightface) draws an order-1 spline
through all 4000 points. FAR is a step function, its values repeat, and current SciPy refuses
such a spline; dropping repeated values first changes the result. Two neighbours on the grid
give what the spline gave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.folds import Folds, make_folds

_DISTANCES = np.arange(0, 4, 0.001)


@dataclass(frozen=True, slots=True, eq=False)
class ValAtFar:
    """Validation rate at a false accept rate, over folds."""

    val: float
    """Mean over folds of the share of same pairs accepted."""
    std: float
    """Population deviation of the folds' VAL."""
    far: float
    """Mean over folds of the share of different pairs accepted: the rate reached."""
    target: float
    """Rate asked for."""
    thresholds: tuple[float, ...]
    """Squared distance of each fold, in order of fold number."""
    accepted_P: NDArray[np.bool_]
    """Whether the pair's own fold accepts it: d < threshold."""
    rule: str
    notes: tuple[str, ...]
    """What sets the result apart from a published one, a line each."""


def val_at_far(
    scores_P: ArrayLike, same_P: ArrayLike, fold_P: ArrayLike, *, far: float = 1e-3
) -> ValAtFar:
    """VAL at a target FAR from cosines.

    Args:
        scores_P: cosines in [-1, 1], (P,); the squared distance is 2 - 2 cos.
        same_P: truth, boolean (P,).
        fold_P: fold number of each pair, integers (P,).
        far: target, in [0, 1).

    Raises:
        DataError: as `folds.make_folds`, or a fold has pairs of one class only.
        ValueError: the target is not a rate.

    >>> scores, same = [0.9, 0.1, 0.8, 0.2], [True, False, True, False]
    >>> val_at_far(scores, same, [0, 0, 1, 1], far=0.1).val
    1.0
    """
    if not 0 <= far < 1:
        raise ValueError(f"the false accept rate must be in [0, 1), found {far}")
    distance_P = 2 - 2 * np.asarray(scores_P, dtype=np.float64)
    folds = make_folds(distance_P, same_P, fold_P)
    size_F, same_F = _class_sizes(folds)
    thresholds_F = _thresholds(folds, size_F - same_F, far)
    accepted_P = folds.measure_P < thresholds_F[folds.fold_P]
    val_F = np.bincount(folds.fold_P, accepted_P & folds.same_P, folds.num_folds) / same_F
    far_F = np.bincount(folds.fold_P, accepted_P & ~folds.same_P, folds.num_folds)
    return ValAtFar(
        val=float(np.mean(val_F)),
        std=float(np.std(val_F)),
        far=float(np.mean(far_F / (size_F - same_F))),
        target=far,
        thresholds=tuple(float(value) for value in thresholds_F),
        accepted_P=accepted_P,
        rule="adjacent",
        notes=folds.notes(),
    )


def _class_sizes(folds: Folds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pairs and same pairs of each fold, (F,) both."""
    size_F = np.bincount(folds.fold_P, minlength=folds.num_folds).astype(np.float64)
    same_F = np.bincount(folds.fold_P, folds.same_P, folds.num_folds).astype(np.float64)
    for fold in np.flatnonzero((same_F == 0) | (same_F == size_F)):
        raise DataError(
            f"every fold must have same and different pairs for VAL@FAR, found "
            f"{int(same_F[fold])} same of {int(size_F[fold])} in the fold of rank {fold}: "
            "deal both classes to every fold"
        )
    return size_F, same_F


def _thresholds(
    folds: Folds, different_F: NDArray[np.float64], target: float
) -> NDArray[np.float64]:
    """Threshold of each fold (F,); counts of the other folds are the total less the own."""
    accepted_FT = np.stack(
        [
            np.searchsorted(
                np.sort(folds.measure_P[(folds.fold_P == fold) & ~folds.same_P]),
                _DISTANCES,
                side="left",
            )
            for fold in range(folds.num_folds)
        ]
    )
    training_FT = accepted_FT.sum(axis=0) - accepted_FT
    far_FT = training_FT / (different_F.sum() - different_F)[:, None]
    return np.array([_adjacent(far_T, target) for far_T in far_FT])


def _adjacent(far_T: NDArray[np.float64], target: float) -> float:
    if far_T[-1] < target:
        return 0.0
    last = int(np.searchsorted(far_T, target, side="right")) - 1
    if last == len(far_T) - 1:
        return float(_DISTANCES[last])
    share = (target - far_T[last]) / (far_T[last + 1] - far_T[last])
    return float(_DISTANCES[last] + share * (_DISTANCES[last + 1] - _DISTANCES[last]))
