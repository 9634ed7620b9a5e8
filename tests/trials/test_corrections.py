"""Holm against a textbook, McNemar against counted coins, words never without a p-value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.errors import DataError
from lfs_ray.trials.corrections import (
    BETTER,
    NOT_DISTINGUISHABLE,
    ONE_SEED,
    WORSE,
    holm,
    mcnemar,
    mcnemar_over_seeds,
    verdict,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_holm_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@given(P_VALUES)
def test_holm_keeps_the_order_and_never_passes_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1, p * len(p_values))
    by_p = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)
    assert adjusted[int(np.argmin(p_values))] == min(1, len(p_values) * min(p_values))


def test_holm_does_not_count_what_is_not_there() -> None:
    adjusted = holm([math.nan, 0.02, 0.03])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == (0.04, 0.04)


def decided(only_a: int, only_b: int, both: int = 5) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, False, True], [only_a, only_b, both])
    return a, np.repeat([False, True, True], [only_a, only_b, both])


def test_mcnemar_looks_at_discordant_pairs_only() -> None:
    assert mcnemar(*decided(1, 9)) == pytest.approx(2 * 11 / 2**10)
    assert mcnemar(*decided(1, 9, both=500)) == mcnemar(*decided(9, 1))
    assert mcnemar(*decided(0, 0)) == 1


def test_mcnemar_wants_the_same_pairs() -> None:
    with pytest.raises(DataError, match="found 3 and 2"):
        mcnemar([1, 0, 1], [1, 0])


def over_seeds(*splits: tuple[int, int]) -> float:
    tables = [decided(a, b, both=20 - a - b) for a, b in splits]
    return mcnemar_over_seeds([a for a, _ in tables], [b for _, b in tables])


def test_seeds_of_mcnemar_are_combined_at_the_median() -> None:
    strong, weak = (0, 10), (4, 6)
    p_strong, p_weak = (mcnemar(*decided(*split)) for split in (strong, weak))
    assert over_seeds(strong) == p_strong
    assert over_seeds(strong, weak) == p_weak
    assert over_seeds(strong, strong, weak) == pytest.approx(1.5 * p_strong)
    assert over_seeds(strong, weak, weak) == min(1, 1.5 * p_weak)


def test_combined_seeds_of_equal_models_are_seldom_found_different() -> None:
    generator = np.random.default_rng(0)
    found = [
        mcnemar_over_seeds(generator.random((3, 300)) < 0.9, generator.random((3, 300)) < 0.9)
        for _ in range(300)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.05


@pytest.mark.parametrize(
    ("difference", "p_holm", "word"),
    [
        (0.2, 0.049, BETTER),
        (-0.2, 0.049, WORSE),
        (0.2, 0.05, NOT_DISTINGUISHABLE),
        (-0.9, 0.3, NOT_DISTINGUISHABLE),
        (0.9, math.nan, ONE_SEED),
    ],
)
def test_verdicts(difference: float, p_holm: float, word: str) -> None:
    assert verdict(difference, p_holm) == word


def test_one_seed_is_not_distinguishable_either() -> None:
    assert NOT_DISTINGUISHABLE in ONE_SEED
