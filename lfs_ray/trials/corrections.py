"""From p-values to words: Holm's correction, McNemar's test, and the verdict.

After `comparison`, before `comparison_table`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from lfs_ray.errors import DataError
from lfs_ray.trials.student import sign_test

SIGNIFICANT = 0.05
BEST_BASELINE = "best baseline"
BETTER = "better"
WORSE = "worse"
NOT_DISTINGUISHABLE = "not distinguishable"
ONE_SEED = "not distinguishable (one seed)"


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values: with all below a level claimed, any wrong claim is that likely at most.

    The k-th smallest of n is multiplied by n - k + 1, and none is below a smaller one's (Holm,
    Scandinavian Journal of Statistics 6, 1979). Valid whatever the dependence.

    Args:
        p_values: one a method compared, 0 to 1; NaN where there is none, which stays NaN and is
            not counted.

    >>> holm([0.5, 0.25, 0.0625])
    (0.5, 0.5, 0.1875)
    """
    known = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    known.sort(key=lambda index: p_values[index])
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def mcnemar(correct_a_P: ArrayLike, correct_b_P: ArrayLike) -> float:
    """McNemar's test of two models on the same pairs: exact binomial, two-sided, no mid-p.

    Of the pairs that one of them alone decides rightly, are half each one's? It takes pairs as
    independent, but they share people, and it knows these two models only, not their methods at
    other seeds: it is too optimistic, so it never makes a verdict.

    Args:
        correct_a_P, correct_b_P: whether each pair was decided rightly, boolean (P,).

    Returns:
        p-value, 0 to 1; 1 where no pair tells the models apart.

    Raises:
        DataError: numbers of pairs differ.
    """
    correct_a, correct_b = np.asarray(correct_a_P, bool), np.asarray(correct_b_P, bool)
    if correct_a.shape != correct_b.shape:
        raise DataError(
            f"both models must have decided the same pairs, found {correct_a.size} and "
            f"{correct_b.size}: check the scores of this report set"
        )
    only_a = int(np.sum(correct_a & ~correct_b))
    only_b = int(np.sum(correct_b & ~correct_a))
    return sign_test(only_a, only_b)


def mcnemar_over_seeds(correct_a_SP: ArrayLike, correct_b_SP: ArrayLike) -> float:
    """McNemar's test at each seed, combined at the (upper) median.

    The k-th smallest of S p-values, times S / k, is a p-value under any dependence (Rueger,
    Metrika 25, 1978); k = S // 2 + 1, so that at least half of the seeds must agree. A seed's
    pairs stay a seed's own: pooled, each pair would count as S independent ones. As optimistic
    as `mcnemar` for one seed, and blind to which of the two each seed favours.

    Args:
        correct_a_SP, correct_b_SP: decisions, boolean (S, P).
    """
    p_values = sorted(
        mcnemar(correct_a_P, correct_b_P)
        for correct_a_P, correct_b_P in zip(
            np.asarray(correct_a_SP), np.asarray(correct_b_SP), strict=True
        )
    )
    middle = len(p_values) // 2 + 1
    return min(1.0, p_values[middle - 1] * len(p_values) / middle)


def verdict(difference: float, p_holm: float) -> str:
    """Word for a method beside the best baseline: from the corrected p-value, never without one.

    Args:
        difference: accuracy less the best baseline's.
        p_holm: adjusted p-value of that difference; NaN with a single seed.
    """
    if math.isnan(p_holm):
        return ONE_SEED
    if not p_holm < SIGNIFICANT:
        return NOT_DISTINGUISHABLE
    return BETTER if difference > 0 else WORSE
