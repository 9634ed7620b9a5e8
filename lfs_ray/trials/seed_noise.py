"""How far training seeds scatter the differences between methods, known from very few seeds.

Between the accuracies of seeds and `comparison`: the outer level of its bootstrap. Resampling S
seeds would give a mean the variance (S - 1) / S of s^2 / S and normal tails, with S = 3 a third
too little and far too thin; so the level is not drawn but computed: s^2 / S, with Student's t.

From two or three seeds s^2 itself is hardly known, but the other methods' seeds tell what is
usual. Variances are therefore moderated (Smyth, Statistical Applications in Genetics and
Molecular Biology 3, 2004): the pooled variance of the methods-by-seeds table is worth
PRIOR_FREEDOM more degrees of freedom, as if the methods' deviations lay within a factor of about
two of one another. With two methods there is no pool, and two seeds tell next to nothing. A
method whose variance is over ODD_RATIO times the median stands outside the pool: it neither
widens the others' intervals nor borrows their evenness. What this cannot see is a far more
uneven method whose few seeds agree by chance: at eight times the others' deviation and three
seeds such a method is called different wrongly in about one comparison in ten, at four times or
less in the promised one in twenty (simulated, eight methods).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PRIOR_FREEDOM = 2.0
ODD_RATIO = 25.0


@dataclass(frozen=True, slots=True)
class SeedVariance:
    """Variance between single seeds, and the degrees of freedom it is known with."""

    variance: float
    freedom: float


def own_variance(values_S: Floats) -> SeedVariance:
    """Sample variance of values of at least two seeds."""
    return SeedVariance(float(np.var(values_S, ddof=1)), len(values_S) - 1)


def difference_variances(accuracy_MS: Floats, reference: int) -> tuple[SeedVariance, ...]:
    """Moderated variance of each method's difference to the reference at the same seed.

    Args:
        accuracy_MS: mean accuracy of each method and seed, M >= 2 and S >= 2.
        reference: index of the method that the others are compared with.

    Returns:
        One for each method; the reference's own is 0.
    """
    num_methods, num_seeds = accuracy_MS.shape
    usual = _usual_methods(accuracy_MS)
    pooled, pooled_freedom = 0.0, 0
    if usual.sum() > 1:
        pooled_freedom = (int(usual.sum()) - 1) * (num_seeds - 1)
        pooled = 2 * float(np.sum(_interaction(accuracy_MS[usual]) ** 2)) / pooled_freedom
    found = []
    for method in range(num_methods):
        own = own_variance(accuracy_MS[method] - accuracy_MS[reference])
        if usual[method] and usual[reference]:
            own = _moderated(own, pooled, pooled_freedom)
        found.append(own if method != reference else SeedVariance(0.0, num_seeds - 1))
    return tuple(found)


def _interaction(accuracy_MS: Floats) -> Floats:
    """What is left of a methods-by-seeds table after the means of methods and of seeds."""
    centred = accuracy_MS - accuracy_MS.mean(axis=1, keepdims=True)
    return np.asarray(centred - centred.mean(axis=0))


def _usual_methods(accuracy_MS: Floats) -> NDArray[np.bool_]:
    variance_M = np.sum(_interaction(accuracy_MS) ** 2, axis=1)
    return np.asarray(variance_M <= ODD_RATIO * np.median(variance_M))


def _moderated(own: SeedVariance, pooled: float, pooled_freedom: int) -> SeedVariance:
    """Own and pooled variance, weighted by their degrees of freedom.

    The own one is part of the pool. With equal true variances, share w of the pool, d own and n
    pooled degrees, the variance of the result is 2 sigma^4 ((1 - (1 - w)^2) / n + (1 - w)^2 / d);
    with unequal ones the prior is worth no more than its own degrees. The lesser counts.
    """
    share = PRIOR_FREEDOM / (PRIOR_FREEDOM + own.freedom)
    rest = (1 - share) ** 2
    if_equal = 1 / ((1 - rest) / pooled_freedom + rest / own.freedom)
    return SeedVariance(
        share * pooled + (1 - share) * own.variance,
        min(if_equal, PRIOR_FREEDOM + own.freedom),
    )
