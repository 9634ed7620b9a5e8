"""What a mean over pairs of people would vary by, had other people been photographed.

Between the decisions of pairs and `comparison`: the inner level of its bootstrap. Pairs of one
person are right or wrong together, so people are resampled (Owen, The pigeonhole bootstrap,
Annals of Applied Statistics 2007): a pair of two people has the product of their multiplicities
as weight, a pair of one person the multiplicity. That counts the own noise of a pair of two
people three times; the excess over the one time of a dyad-robust variance (Aronow, Samii and
Assenova, Political Analysis 2015) is taken off.

All columns (a model of one method and one seed each) share each resampling, so that the variance
of any difference of columns follows from one covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
WEIGHTS_AT_ONCE = 4_000_000  # 32 MB


@dataclass(frozen=True, slots=True)
class PeopleCovariance:
    """Covariance of the columns' means over new people."""

    resampled_CC: Floats
    """By resampling people, less the excess; not always positive definite."""
    independent_CC: Floats
    """As if pairs were independent of one another."""
    freedom: float
    """Degrees of freedom: the effective number of people, less one."""

    def variance(self, contrast_C: Floats) -> float:
        """Variance of the sum of contrast times column mean, never below independent pairs'."""
        resampled, independent = (
            float(contrast_C @ matrix @ contrast_C)
            for matrix in (self.resampled_CC, self.independent_CC)
        )
        return max(resampled, independent, 0.0)


def people_covariance(
    correct_PC: ArrayLike,
    first_identity_P: ArrayLike,
    second_identity_P: ArrayLike,
    *,
    samples: int,
    seed: int,
) -> PeopleCovariance:
    """Covariance of the mean decisions of several models over the same pairs.

    Args:
        correct_PC: whether each model decided each pair rightly, boolean (P, C).
        first_identity_P, second_identity_P: identities of both sides, integers or strings (P,).
        samples: resamplings, at least 2.
        seed: seed of the resampling, >= 0.

    Raises:
        DataError: fewer than two identities, or lengths differ.
    """
    correct = np.asarray(correct_PC).astype(np.float64)
    first, second, num_people = number_people(first_identity_P, second_identity_P)
    if not len(correct) == len(first) == len(second):
        raise DataError(
            f"decisions and identities must have one entry a pair, found {len(correct)}, "
            f"{len(first)} and {len(second)}: check the scores of this report set"
        )
    if num_people < 2:
        raise DataError(
            f"the pairs must show at least 2 identities, found {num_people}: "
            "give each image its identity"
        )
    residual = correct - correct.mean(axis=0)
    means = _resampled_means(correct, first, second, num_people, samples, seed)
    dyads = _summed_by_dyad(residual, first, second, num_people)
    covariance = np.atleast_2d(np.cov(means, rowvar=False))
    return PeopleCovariance(
        covariance - 2 * dyads.T @ dyads / len(correct) ** 2,
        residual.T @ residual / len(correct) ** 2,
        max(effective_people(first, second, num_people) - 1, 1.0),
    )


def number_people(first: ArrayLike, second: ArrayLike) -> tuple[Indices, Indices, int]:
    """Both sides' identities as 0..N-1, and N."""
    sides = np.asarray(first), np.asarray(second)
    names, numbers = np.unique(np.concatenate(sides), return_inverse=True)
    split = len(sides[0])
    return numbers[:split], numbers[split:], len(names)


def effective_people(first_P: Indices, second_P: Indices, num_people: int) -> float:
    """Number of equally frequent people worth as much: (sum n)^2 / sum n^2, n pairs a person."""
    pairs = np.bincount(first_P, minlength=num_people)
    pairs += np.bincount(second_P[first_P != second_P], minlength=num_people)
    return float(pairs.sum()) ** 2 / float(np.sum(pairs.astype(np.float64) ** 2))


def _resampled_means(
    correct_PC: Floats,
    first_P: Indices,
    second_P: Indices,
    num_people: int,
    samples: int,
    seed: int,
) -> Floats:
    """Weighted means (samples, C); decisions and weights are whole, so their sums are exact."""
    generator = np.random.default_rng(seed)
    # A person paired with themself counts once: the second factor is a last entry, always 1.
    second_P = np.where(first_P == second_P, num_people, second_P)
    at_once = max(1, WEIGHTS_AT_ONCE // len(first_P))
    weight = np.empty((min(at_once, samples), len(first_P)))
    means = np.empty((samples, correct_PC.shape[1]))
    for start in range(0, samples, at_once):
        rows = weight[: min(at_once, samples - start)]
        for row in rows:
            _draw_weights(generator, first_P, second_P, num_people, row)
        means[start : start + len(rows)] = rows @ correct_PC / rows.sum(axis=1, keepdims=True)
    return means


def _draw_weights(
    generator: np.random.Generator,
    first_P: Indices,
    second_P: Indices,
    num_people: int,
    weight_P: Floats,
) -> None:
    """Fill in the weights of one resampling; one in which no pair is left is drawn anew."""
    weight_P[:] = 0
    while not weight_P.any():
        drawn = generator.integers(0, num_people, num_people)
        count = np.bincount(drawn, minlength=num_people + 1).astype(np.float64)
        count[num_people] = 1
        np.multiply(count[first_P], count[second_P], out=weight_P)


def _summed_by_dyad(
    residual_PC: Floats, first_P: Indices, second_P: Indices, num_people: int
) -> Floats:
    """Residuals summed over the pairs of two given people (dyads, C)."""
    two = first_P != second_P
    low = np.minimum(first_P, second_P)[two]
    high = np.maximum(first_P, second_P)[two]
    _, dyad = np.unique(low * num_people + high, return_inverse=True)
    order = np.argsort(dyad, kind="stable")
    starts = np.flatnonzero(np.diff(dyad[order], prepend=-1))
    if not len(starts):
        return np.zeros((0, residual_PC.shape[1]))
    return np.asarray(np.add.reduceat(residual_PC[two][order], starts, axis=0))
