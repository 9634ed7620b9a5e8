"""Standard error of an accuracy over pairs that share people.

After `verification`: takes its decisions, gives the error of their mean. Pairs of one person
are right or wrong together (a blurred photo, an unusual face), so resampling pairs is too
optimistic: on simulated sets of 60 and 200 people it gave .38 and .46 of the true deviation.

Here people are resampled (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007):
a pair of two people has the product of their multiplicities as weight, a pair of one person
the multiplicity. The product counts the own noise of a pair of two people three times, twice
too often; a dyad-robust variance (Aronow, Samii and Assenova, Political Analysis 2015) counts
it once. The excess, 2 sum R^2 / P^2 with R the summed residuals of the pairs of two given
people, is therefore taken off. Root mean square of the estimate over the true deviation, on
simulated sets of 60 to 4000 people: .96 to 1.05, without this step 1.08 to 1.49.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def identity_bootstrap_se(
    correct_P: ArrayLike,
    first_identity_P: ArrayLike,
    second_identity_P: ArrayLike,
    *,
    samples: int = 200,
    seed: int,
) -> float:
    """Standard error of the mean of pair decisions, by resampling identities.

    Thresholds are not chosen anew: their share of the error is left out. With 200 samples the
    result itself varies by about 6 %. Never below the error of independent pairs.

    Args:
        correct_P: whether each pair was decided rightly, boolean (P,).
        first_identity_P, second_identity_P: identities of both sides, integers or strings (P,).
        samples: resamplings, at least 2.
        seed: seed of the resampling, >= 0.

    Returns:
        Standard error, in the unit of accuracy (0 to 1); 0 when all decisions are alike.

    Raises:
        DataError: fewer than two identities, or lengths differ.

    >>> identity_bootstrap_se([1, 1, 0], ["a", "b", "a"], ["a", "b", "b"], seed=0) > 0
    True
    """
    correct = np.asarray(correct_P).astype(np.float64)
    first, second, num_people = _numbered(first_identity_P, second_identity_P)
    if not correct.shape == first.shape == second.shape:
        raise DataError(
            f"decisions and identities must have one entry a pair, found shapes "
            f"{correct.shape}, {first.shape} and {second.shape}: check the pair list"
        )
    if num_people < 2:
        raise DataError(
            f"the pairs must show at least 2 identities, found {num_people}: "
            "give each image its identity"
        )
    residual = correct - correct.mean()
    means = _resampled_means(residual, first, second, num_people, samples, seed)
    excess = 2 * _pair_noise(residual, first, second, num_people)
    independent = float(np.sum(residual**2)) / len(residual) ** 2
    variance = max(float(np.var(means, ddof=1)) - excess, independent)
    return float(np.sqrt(variance))


def _numbered(first: ArrayLike, second: ArrayLike) -> tuple[Indices, Indices, int]:
    """Both sides' identities as 0..N-1, and N."""
    sides = np.asarray(first), np.asarray(second)
    names, numbers = np.unique(np.concatenate(sides), return_inverse=True)
    split = len(sides[0])
    return numbers[:split], numbers[split:], len(names)


def _resampled_means(
    residual_P: Floats,
    first_P: Indices,
    second_P: Indices,
    num_people: int,
    samples: int,
    seed: int,
) -> Floats:
    """Weighted mean residual of each resampling; one in which no pair is left is drawn anew."""
    generator = np.random.default_rng(seed)
    # A person paired with themself counts once: the second factor is a last entry, always 1.
    second_P = np.where(first_P == second_P, num_people, second_P)
    means = np.empty(samples)
    for sample in range(samples):
        total = 0.0
        while total == 0.0:
            drawn = generator.integers(0, num_people, num_people)
            count = np.bincount(drawn, minlength=num_people + 1).astype(np.float64)
            count[num_people] = 1
            weight_P = count[first_P] * count[second_P]
            total = float(weight_P.sum())
        means[sample] = weight_P @ residual_P / total
    return means


def _pair_noise(residual_P: Floats, first_P: Indices, second_P: Indices, num_people: int) -> float:
    """Variance of the mean from what pairs of two given people have of their own."""
    two = first_P != second_P
    low = np.minimum(first_P, second_P)[two]
    high = np.maximum(first_P, second_P)[two]
    _, dyad = np.unique(low * num_people + high, return_inverse=True)
    summed = np.bincount(dyad, weights=residual_P[two])
    return float(np.sum(summed**2)) / len(residual_P) ** 2
