"""Metrics of image pairs, by name: accuracy, VAL@FAR, TAR@FAR, 1 - EER, AUC.

Inside `metrics`, from `Evidence` with pairs to a value and the contributions of the pairs.
Thresholds are taken as given in the contributions: the standard error leaves their share out.

Shapes: P pairs, D dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.evaluation.bootstrap import Contribution
from lfs_ray.evaluation.evidence import Evidence, Measured
from lfs_ray.evaluation.roc import OperatingPoint, area_under_curve, equal_error_rate, tar_at_far
from lfs_ray.evaluation.scores import split_by_truth, two_classes
from lfs_ray.evaluation.val_far import val_at_far
from lfs_ray.evaluation.verification import verify

Floats = NDArray[np.floating]


def accuracy(name: str, evidence: Evidence, *, rule: str) -> Measured:
    """Mean fold accuracy by a rule of `rules`."""
    first_PD, second_PD = _sides(evidence)
    result = verify(
        first_PD, second_PD, _same(evidence), _fold(evidence), rule=rule, flip=evidence.flip
    )
    pairs = _contribution(evidence, result.correct_P)
    return Measured(result.accuracy, (pairs,), ((name, result.accuracy),), result.notes)


def val(name: str, evidence: Evidence, *, far: float, rule: str) -> Measured:
    """Mean over folds of the accepted share of same pairs; its only rule is `adjacent`."""
    same = _same(evidence)
    result = val_at_far(_scores(evidence), same, _fold(evidence), far=far)
    assert result.rule == rule
    genuine = _contribution(evidence, result.accepted_P, same)
    notes = (f"{name} reached FAR {result.far:.3g}", *result.notes)
    return Measured(result.val, (genuine,), ((name, result.val),), notes)


def tar(name: str, evidence: Evidence, *, far: float, rule: str) -> Measured:
    """Accepted share of same pairs at the threshold of a rule of `roc.TAR_RULES`."""
    scores, same = _scores(evidence), _same(evidence)
    point = tar_at_far(*split_by_truth(scores, same), far, rule=rule)
    genuine = _contribution(evidence, point.accepts(scores), same)
    return Measured(point.tar, (genuine,), ((name, point.tar),), point_notes(name, point))


def one_minus_eer(name: str, evidence: Evidence) -> Measured:
    """Share of right decisions where both kinds of error are equally frequent."""
    scores, same = _scores(evidence), _same(evidence)
    error = equal_error_rate(*split_by_truth(scores, same))
    right = (scores >= error.threshold) == same
    halves = [_contribution(evidence, right, kind, weight=0.5) for kind in (same, ~same)]
    return Measured(1 - error.rate, tuple(halves), ((name, 1 - error.rate),))


def auc(name: str, evidence: Evidence) -> Measured:
    """Area under the ROC curve; a pair contributes the share of the other class it beats."""
    scores, same = _scores(evidence), _same(evidence)
    genuine, impostor = split_by_truth(scores, same)
    area = area_under_curve(genuine, impostor)
    beaten = np.empty(len(scores))
    sorted_genuine, sorted_impostor = two_classes(genuine, impostor)
    beaten[same] = _share_below(sorted_impostor, genuine)
    beaten[~same] = 1 - _share_below(sorted_genuine, impostor)
    both = [_contribution(evidence, beaten, kind) for kind in (same, ~same)]
    return Measured(area, tuple(both), ((name, area),))


def point_notes(name: str, point: OperatingPoint) -> tuple[str, ...]:
    """What should be read with a TAR: the rate reached, and how little it rests on."""
    notes = [f"{name} reached FAR {point.far_reached:.3g}"]
    if point.few_impostors:
        notes.append(f"{name}: fewer than ten impostor pairs decide, use a larger FAR")
    return tuple(notes)


def _share_below(ascending: Floats, scores: Floats) -> NDArray[np.float64]:
    """Share of a list below each score, ties half."""
    below = np.searchsorted(ascending, scores, side="left")
    not_above = np.searchsorted(ascending, scores, side="right")
    return np.asarray((below + not_above) / (2 * len(ascending)))


def _contribution(
    evidence: Evidence,
    values_P: NDArray[np.generic],
    kept_P: NDArray[np.bool_] | None = None,
    weight: float = 1.0,
) -> Contribution:
    kept = slice(None) if kept_P is None else kept_P
    identity = np.asarray(evidence.identity_N)
    return Contribution(
        values_P[kept],
        identity[np.asarray(evidence.first_P)][kept],
        identity[np.asarray(evidence.second_P)][kept],
        weight,
    )


def _sides(evidence: Evidence) -> tuple[Floats, Floats]:
    embeddings = np.asarray(evidence.embeddings_ND)
    return embeddings[np.asarray(evidence.first_P)], embeddings[np.asarray(evidence.second_P)]


def _scores(evidence: Evidence) -> NDArray[np.float64]:
    first_PD, second_PD = _sides(evidence)
    return np.asarray(np.einsum("pd,pd->p", first_PD, second_PD), np.float64)


def _same(evidence: Evidence) -> NDArray[np.bool_]:
    return np.asarray(evidence.same_P).astype(np.bool_)


def _fold(evidence: Evidence) -> NDArray[np.integer]:
    return np.asarray(evidence.fold_P)
