"""Accuracy of each method and its difference to a reference: the two-level bootstrap.

Between `report_set` and `corrections`. A statement about methods, not about these models on these
people, has two sources of error, and both are resampled jointly for all methods: training seeds
(outer level; `seed_noise` computes it, few seeds need Student's t) and people (inner level;
`people` draws it). With d_s the mean difference at seed s,

    Var(mean of d_s) = s^2 / S + max(0, V_people - V_own / S)

s^2 is the (moderated) variance over seeds, V_people that of the mean over seeds by resampling
people, V_own what people contribute to a single seed's deviation from that mean: it is in s^2
already. s^2 is no less than V_own. Degrees of freedom by Satterthwaite (Biometrics Bulletin 2,
1946). Thresholds are not chosen anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.trials.people import PeopleCovariance, people_covariance
from lfs_ray.trials.report_set import ReportSet
from lfs_ray.trials.seed_noise import SeedVariance, difference_variances, own_variance
from lfs_ray.trials.student import t_quantile, t_two_sided

Floats = NDArray[np.float64]
OUTSIDE = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; one seed has no interval, and no p-value."""

    mean: float
    low: float = math.nan
    high: float = math.nan
    p_zero: float = math.nan
    """Two-sided p-value of no difference from zero, not yet corrected for several methods."""


@dataclass(frozen=True, slots=True)
class MethodEstimate:
    """One method on one report set, accuracies from 0 to 1."""

    method: str
    accuracy: Estimate
    """Interval cut to 0..1."""
    sd: float
    """Standard deviation over seeds; NaN with one seed."""
    difference: Estimate | None
    """Accuracy less the reference's; None for the reference itself."""


def two_level_bootstrap(
    report_set: ReportSet, reference: int, *, samples: int = 2000, seed: int
) -> tuple[MethodEstimate, ...]:
    """Accuracies and differences to the reference, with errors over seeds and people.

    Args:
        report_set: decisions of all methods.
        reference: index of the method to compare with, see `best_baseline`.
        samples: resamplings of the people, at least 2.
        seed: seed of the resampling, >= 0.

    Returns:
        One estimate a method, in order.

    Raises:
        DataError: fewer than two identities.
    """
    num_methods, num_seeds = len(report_set.methods), report_set.num_seeds
    columns_PC = np.concatenate([scores.correct_SP for scores in report_set.methods]).T
    identities = report_set.first_identity_P, report_set.second_identity_P
    people = people_covariance(columns_PC, *identities, samples=samples, seed=seed)
    accuracy_MS = report_set.accuracy_MS
    scatter = (
        difference_variances(accuracy_MS, reference)
        if num_seeds > 1 and num_methods > 1
        else (SeedVariance(math.nan, 0),) * num_methods
    )
    rivals = max(1, sum(scores.is_baseline for scores in report_set.methods))
    return tuple(
        MethodEstimate(
            scores.method,
            _accuracy(accuracy_MS, method, people),
            float(np.std(accuracy_MS[method], ddof=1)) if num_seeds > 1 else math.nan,
            None
            if method == reference
            else _difference(accuracy_MS, method, reference, people, scatter[method], rivals),
        )
        for method, scores in enumerate(report_set.methods)
    )


def _accuracy(accuracy_MS: Floats, method: int, people: PeopleCovariance) -> Estimate:
    sign_M = np.zeros(len(accuracy_MS))
    sign_M[method] = 1
    values_S = accuracy_MS[method]
    if len(values_S) == 1:
        return Estimate(float(values_S[0]))
    found = _estimate(values_S, sign_M, people, own_variance(values_S))
    return Estimate(found.mean, max(found.low, 0.0), min(found.high, 1.0))


def _difference(
    accuracy_MS: Floats,
    method: int,
    reference: int,
    people: PeopleCovariance,
    scatter: SeedVariance,
    rivals: int,
) -> Estimate:
    sign_M = np.zeros(len(accuracy_MS))
    sign_M[[method, reference]] = 1, -1
    values_S = accuracy_MS[method] - accuracy_MS[reference]
    if len(values_S) == 1:
        return Estimate(float(values_S[0]))
    return _estimate(values_S, sign_M, people, scatter, rivals)


def _estimate(
    values_S: Floats,
    sign_M: Floats,
    people: PeopleCovariance,
    scatter: SeedVariance,
    rivals: int = 1,
) -> Estimate:
    """Mean, interval and p-value from the variances of both levels, for two seeds and more."""
    num_seeds, mean = len(values_S), float(np.mean(values_S))
    of_mean = people.variance(np.repeat(sign_M / num_seeds, num_seeds))
    own = _own_people_variance(sign_M, num_seeds, people)
    from_seeds = max(scatter.variance, own) / num_seeds
    from_people = max(0.0, of_mean - own / num_seeds)
    variance = from_seeds + from_people
    if variance == 0:
        return Estimate(mean, mean, mean, float(mean == 0))
    freedom = variance**2 / (from_seeds**2 / scatter.freedom + from_people**2 / people.freedom)
    error = math.sqrt(variance)
    half_width = t_quantile(OUTSIDE, freedom) * error
    p_zero = t_two_sided(mean / error, freedom)
    if mean < 0:
        p_zero = min(1.0, rivals * p_zero)
    return Estimate(mean, mean - half_width, mean + half_width, p_zero)


def _own_people_variance(sign_M: Floats, num_seeds: int, people: PeopleCovariance) -> float:
    """What people add to the variance between seeds, from each seed's deviation from the mean."""
    deviations_SS = np.eye(num_seeds) - 1 / num_seeds
    total = sum(people.variance(np.kron(sign_M, deviation_S)) for deviation_S in deviations_SS)
    return total / (num_seeds - 1)
