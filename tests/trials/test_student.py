"""Golden values of tables, limits, and the exact sums that the functions stand for."""

from __future__ import annotations

import math

import pytest

from lfs_ray.trials.student import incomplete_beta, sign_test, t_quantile, t_two_sided


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062047362), (2, 4.3026527297), (5, 2.5705818356), (30, 2.0422724563)],
)
def test_quantiles_are_those_of_tables(freedom: float, quantile: float) -> None:
    assert t_quantile(0.05, freedom) == pytest.approx(quantile, rel=1e-9)
    assert t_two_sided(-quantile, freedom) == pytest.approx(0.05, rel=1e-9)


def test_without_bound_of_freedom_it_is_the_normal_distribution() -> None:
    assert t_quantile(0.05, math.inf) == pytest.approx(1.959963984540, rel=1e-9)
    assert t_two_sided(2.0, 1e7) == pytest.approx(t_two_sided(2.0, math.inf), rel=1e-5)


@pytest.mark.parametrize("t", [0.01, 0.5, 1.0, 7.0, 1e6])
def test_one_and_two_degrees_have_closed_forms(t: float) -> None:
    assert t_two_sided(t, 1) == pytest.approx(2 * math.atan(1 / t) / math.pi, rel=1e-9)
    # 1 - t / sqrt(2 + t^2), without the cancellation
    two = 2 / (math.sqrt(2 + t * t) * (math.sqrt(2 + t * t) + t))
    assert t_two_sided(t, 2) == pytest.approx(two, rel=1e-9)


def test_fractions_of_degrees_lie_between() -> None:
    assert t_two_sided(3, 2) > t_two_sided(3, 2.4) > t_two_sided(3, 3)


def test_ends() -> None:
    assert t_two_sided(0, 3) == 1
    assert t_two_sided(math.inf, 3) == 0
    assert (incomplete_beta(0, 2, 3), incomplete_beta(1, 2, 3)) == (0, 1)


@pytest.mark.parametrize(("fewer", "more"), [(0, 1), (2, 9), (30, 41), (400, 480), (0, 50)])
def test_the_sign_test_is_the_binomial_sum(fewer: int, more: int) -> None:
    coins = fewer + more
    exact = 2 * sum(math.comb(coins, k) for k in range(fewer + 1)) / 2**coins
    assert sign_test(fewer, more) == pytest.approx(min(1, exact), rel=1e-9)
    assert sign_test(more, fewer) == sign_test(fewer, more)


def test_an_even_split_says_nothing() -> None:
    assert sign_test(0, 0) == sign_test(7, 7) == 1
    assert sign_test(7, 8) == pytest.approx(1)
