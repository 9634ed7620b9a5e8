"""Moderated variances: the two ends, their calibration, and methods out of the ordinary."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lfs_ray.trials.seed_noise import PRIOR_FREEDOM, difference_variances, own_variance
from lfs_ray.trials.student import t_two_sided


def table(methods: int, seeds: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.9, 0.01, (methods, seeds))


def test_two_methods_have_nothing_but_their_own_seeds() -> None:
    accuracy = table(2, 3)
    found = difference_variances(accuracy, 0)[1]
    assert_allclose(found.variance, np.var(accuracy[1] - accuracy[0], ddof=1))
    assert found.freedom == 2
    assert found == own_variance(accuracy[1] - accuracy[0])


def test_one_of_several_is_drawn_to_the_others() -> None:
    accuracy = table(6, 3)
    rest = accuracy - accuracy.mean(axis=1, keepdims=True)
    rest -= rest.mean(axis=0)
    pooled = 2 * np.sum(rest**2) / (5 * 2)
    for method, found in enumerate(difference_variances(accuracy, 0)[1:], 1):
        own = np.var(accuracy[method] - accuracy[0], ddof=1)
        weights = PRIOR_FREEDOM, 2
        assert_allclose(found.variance, np.average([pooled, own], weights=weights))
        assert 2 < found.freedom <= 2 + PRIOR_FREEDOM


def test_a_seed_that_suits_all_methods_is_no_noise() -> None:
    accuracy = table(4, 3)
    shifted = accuracy + np.array([0.0, 0.3, -0.2])
    for plain, moved in zip(
        *(difference_variances(a, 1) for a in (accuracy, shifted)), strict=True
    ):
        assert_allclose(plain.variance, moved.variance, atol=1e-15)


def test_a_method_that_fails_at_a_seed_does_not_widen_the_others() -> None:
    accuracy = table(8, 3)
    failing = accuracy.copy()
    failing[7] = 0.9, 0.1, 0.9
    before, after = (difference_variances(a, 0) for a in (accuracy[:7], failing))
    assert_allclose([one.variance for one in after[:7]], [one.variance for one in before])
    assert_allclose(after[7].variance, np.var(failing[7] - failing[0], ddof=1))
    assert after[7].freedom == 2


def test_beside_a_reference_that_fails_nothing_is_borrowed() -> None:
    accuracy = table(8, 3)
    accuracy[0] = 0.9, 0.1, 0.9
    for method, found in enumerate(difference_variances(accuracy, 0)[1:], 1):
        assert found == own_variance(accuracy[method] - accuracy[0])


@pytest.mark.parametrize(("methods", "seeds"), [(2, 2), (3, 2), (8, 2), (2, 3), (8, 3), (5, 5)])
def test_differences_over_their_error_follow_t(methods: int, seeds: int) -> None:
    p_values = []
    for seed in range(800):
        accuracy = table(methods, seeds, seed)
        found = difference_variances(accuracy, 0)[1]
        mean = np.mean(accuracy[1] - accuracy[0])
        p_values.append(t_two_sided(mean / np.sqrt(found.variance / seeds), found.freedom))
    for level in (0.05, 0.01):
        limit = level + 3 * np.sqrt(level * (1 - level) / len(p_values))
        assert np.mean(np.array(p_values) < level) < limit
    assert np.mean(np.array(p_values) < 0.05) > 0.02
