"""Threshold measures of a score list: TAR at a FAR by three named rules, ROC curve, EER, AUC.

After the scores of genuine and impostor pairs, high for alike; used by pair sets, IJB 1:1,
MegaFace-style verification. G genuine pairs, I impostor pairs, f the FAR asked for:

    at_most   k = floor(I f + 1e-9); the (k+1)-th largest impostor score is the threshold, accept
              above it: at most k false accepts, so the FAR is never exceeded. The default
    nearest   of the ROC points scikit-learn keeps (it drops collinear ones), the one whose FAR is
              nearest to f, of two the larger: parity with deepinsight/insightface (IJB) and
              JDAI-CV/FaceX-Zoo. It may exceed f
    tinyface  k = round(I f); the k-th largest impostor score is the threshold (k = 0: the largest
              plus 1e-5), accept from it on: with ties it may exceed f several times over
              (mk-minchul/CVLface)

No FAR with I f < 10 should be read without its warning: it rests on a handful of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.evaluation.scores import Floats, two_classes

FEW_IMPOSTORS = 10
_COUNT_SLACK = 1e-9
_TINYFACE_STEP = 1e-5


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What is accepted at one threshold."""

    far: float
    """False accept rate asked for."""
    tar: float
    """Share of genuine pairs accepted."""
    far_reached: float
    """Share of impostor pairs accepted."""
    threshold: float
    accepts_equal: bool
    """Whether a score equal to the threshold is accepted."""
    rule: str
    few_impostors: bool
    """Whether fewer than ten impostors decide: I f < 10."""

    def accepts(self, scores_P: ArrayLike) -> NDArray[np.bool_]:
        """Decision on each score, (P,)."""
        scores = np.asarray(scores_P)
        return scores >= self.threshold if self.accepts_equal else scores > self.threshold


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Points of the curve by falling threshold, from (0, 0) at infinity to (1, 1)."""

    far_T: NDArray[np.float64]
    tar_T: NDArray[np.float64]
    threshold_T: NDArray[np.float64]
    """Accept scores >= this."""


@dataclass(frozen=True, slots=True)
class EqualError:
    """Where false accepts and false rejects are equally frequent."""

    rate: float
    threshold: float
    """Interpolated as the rate; never infinite."""


def tar_at_far(
    genuine_G: ArrayLike, impostor_I: ArrayLike, far: float, *, rule: str = "at_most"
) -> OperatingPoint:
    """True accept rate at a false accept rate.

    Args:
        genuine_G, impostor_I: scores, finite, high for alike.
        far: rate asked for, in [0, 1].
        rule: a name in TAR_RULES.

    Raises:
        DataError: a list is empty or a score is not finite.
        ValueError: the rate or the rule is none.

    >>> point = tar_at_far([0.9, 0.7, 0.3, 0.1], [0.8, 0.2, 0.1, 0.0], 0.25)
    >>> point.tar, point.far_reached, point.threshold
    (0.75, 0.25, 0.2)
    """
    return tars_at_fars(genuine_G, impostor_I, [far], rule=rule)[0]


def tars_at_fars(
    genuine_G: ArrayLike, impostor_I: ArrayLike, fars: Sequence[float], *, rule: str = "at_most"
) -> tuple[OperatingPoint, ...]:
    """`tar_at_far` for several rates; the scores are sorted once."""
    if rule not in TAR_RULES:
        raise ValueError(f"the rule must be one of {', '.join(TAR_RULES)}, found {rule!r}")
    for far in fars:
        if not 0 <= far <= 1:
            raise ValueError(f"a false accept rate must be in [0, 1], found {far}")
    genuine, impostor = two_classes(genuine_G, impostor_I)
    thresholds = TAR_RULES[rule](genuine, impostor, fars)
    # `at_most` alone rejects what equals its threshold.
    equal = rule != "at_most"
    return tuple(
        OperatingPoint(
            far=far,
            tar=_share_from(genuine, threshold, equal),
            far_reached=_share_from(impostor, threshold, equal),
            threshold=threshold,
            accepts_equal=equal,
            rule=rule,
            few_impostors=_is_few(len(impostor), far),
        )
        for far, threshold in zip(fars, thresholds, strict=True)
    )


def num_allowed(num_impostors: int, far: float) -> int:
    """False accepts that rule `at_most` allows: k = floor(I f + 1e-9).

    >>> num_allowed(1000, 0.007), num_allowed(999, 0.007)
    (7, 6)
    """
    return int(np.floor(num_impostors * far + _COUNT_SLACK))


def point_of_largest(
    genuine_G: Floats, largest_K: Floats, num_impostors: int, far: float
) -> OperatingPoint:
    """Rule `at_most` where only the largest impostor scores were kept.

    Args:
        genuine_G: scores, in any order.
        largest_K: the largest impostor scores, falling; at least `num_allowed` + 1.
        num_impostors: all of them.
        far: rate asked for, in [0, 1).
    """
    threshold = float(largest_K[num_allowed(num_impostors, far)])
    return OperatingPoint(
        far=far,
        tar=float(np.mean(genuine_G > threshold)),
        far_reached=int(np.count_nonzero(largest_K > threshold)) / num_impostors,
        threshold=threshold,
        accepts_equal=False,
        rule="at_most",
        few_impostors=_is_few(num_impostors, far),
    )


def roc_curve(genuine_G: ArrayLike, impostor_I: ArrayLike, *, drop: bool = False) -> RocCurve:
    """A point for each distinct score.

    Args:
        genuine_G, impostor_I: as in `tar_at_far`.
        drop: leave out points on the line between their neighbours, as scikit-learn does.

    >>> roc_curve([2.0], [1.0]).tar_T.tolist()
    [0.0, 1.0, 1.0]
    """
    return _curve(*two_classes(genuine_G, impostor_I), drop=drop)


def equal_error_rate(genuine_G: ArrayLike, impostor_I: ArrayLike) -> EqualError:
    """EER by linear interpolation on the undropped curve.

    >>> equal_error_rate([3.0, 0.0], [2.0, -1.0]).rate
    0.5
    """
    curve = _curve(*two_classes(genuine_G, impostor_I), drop=False)
    excess_T = curve.far_T - (1 - curve.tar_T)
    after = int(np.argmax(excess_T >= 0))
    before = after - 1
    part = excess_T[before] / (excess_T[before] - excess_T[after])
    rate = curve.far_T[before] + part * (curve.far_T[after] - curve.far_T[before])
    high, low = curve.threshold_T[before], curve.threshold_T[after]
    threshold = low if np.isinf(high) else high + part * (low - high)
    return EqualError(float(rate), float(threshold))


def area_under_curve(genuine_G: ArrayLike, impostor_I: ArrayLike) -> float:
    """Probability that a genuine pair scores above an impostor pair, ties half: exact counts.

    >>> area_under_curve([2.0, 1.0], [1.0, 0.0])
    0.875
    """
    genuine, impostor = two_classes(genuine_G, impostor_I)
    below = np.searchsorted(impostor, genuine, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(impostor, genuine, side="right").sum(dtype=np.int64)
    return (int(below) + int(not_above)) / (2 * len(genuine) * len(impostor))


def _is_few(num_impostors: int, far: float) -> bool:
    return num_impostors * far < FEW_IMPOSTORS - _COUNT_SLACK


def _share_from(ascending: Floats, threshold: float, equal: bool) -> float:
    side = int(np.searchsorted(ascending, threshold, side="left" if equal else "right"))
    return (len(ascending) - side) / len(ascending)


def _curve(genuine: Floats, impostor: Floats, *, drop: bool) -> RocCurve:
    falling = np.unique(np.concatenate([genuine, impostor]))[::-1]
    tars = len(genuine) - np.searchsorted(genuine, falling, side="left")
    fars = len(impostor) - np.searchsorted(impostor, falling, side="left")
    if drop and len(falling) > 2:
        corner = (np.diff(fars, 2) != 0) | (np.diff(tars, 2) != 0)
        kept = np.concatenate([[True], corner, [True]])
        tars, fars, falling = tars[kept], fars[kept], falling[kept]
    return RocCurve(
        far_T=np.concatenate([[0.0], fars / len(impostor)]),
        tar_T=np.concatenate([[0.0], tars / len(genuine)]),
        threshold_T=np.concatenate([[np.inf], falling.astype(np.float64)]),
    )


def _at_most(genuine: Floats, impostor: Floats, fars: Sequence[float]) -> list[float]:
    counts = [num_allowed(len(impostor), far) for far in fars]
    return [float(impostor[-count - 1]) if count < len(impostor) else -np.inf for count in counts]


def _nearest(genuine: Floats, impostor: Floats, fars: Sequence[float]) -> list[float]:
    curve = _curve(genuine, impostor, drop=True)
    by_falling_far = curve.far_T[::-1]
    places = [int(np.argmin(np.abs(by_falling_far - far))) for far in fars]
    return [float(curve.threshold_T[::-1][place]) for place in places]


def _tinyface(genuine: Floats, impostor: Floats, fars: Sequence[float]) -> list[float]:
    counts = [round(len(impostor) * far) for far in fars]
    return [
        float(impostor[-count]) if count else float(impostor[-1]) + _TINYFACE_STEP
        for count in counts
    ]


TAR_RULES: dict[str, Callable[[Floats, Floats, Sequence[float]], list[float]]] = {
    "at_most": _at_most,
    "nearest": _nearest,
    "tinyface": _tinyface,
}
"""Sorted genuine and impostor scores and rates to thresholds, by name of the rule."""
