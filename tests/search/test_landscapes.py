"""The synthetic rewards are what their names say, and the default policy holds its own on them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from landscapes import DEPTH, LANDSCAPES, SPACES, pattern
from search_regret import at, beaten, search

SEEDS = range(20)
DEFAULT = "pgpe"


@pytest.mark.parametrize("dimensions", SPACES)
@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_optimum_is_best_and_reachable(name: str, dimensions: int) -> None:
    space, landscape = SPACES[dimensions], LANDSCAPES[name]
    rng = np.random.default_rng(0)
    for progress in (0.0, 0.5, 1.0):
        away = np.interp(progress, (0.0, 1.0), landscape.optimum)
        optimum_1D = np.array([space.default_start]) + away * pattern(space)
        np.testing.assert_array_equal(space.project(optimum_1D), optimum_1D)
        others_ND = space.project(optimum_1D + 0.3 * rng.standard_normal((200, space.size)))
        assert landscape.regret(space, optimum_1D, progress) == pytest.approx(0.0, abs=1e-12)
        assert np.all(landscape.regret(space, others_ND, progress) >= 0.0)


@pytest.mark.parametrize("dimensions", SPACES)
def test_the_start_is_as_far_down_in_all_dimensions(dimensions: int) -> None:
    space = SPACES[dimensions]
    assert space.size == dimensions
    start_1D = np.array([space.default_start])
    for name in ("quadratic", "noisy", "saturating", "rising"):
        assert LANDSCAPES[name].regret(space, start_1D, 0.0)[0] == pytest.approx(DEPTH)


def test_one_dimension_is_the_margin() -> None:
    at_margins = np.array([[0.2], [0.4], [0.5]])
    drifting, rising = LANDSCAPES["drifting"], LANDSCAPES["rising"]
    assert np.argmin(drifting.regret(SPACES[1], at_margins, 0.0)) == 0
    assert np.argmin(drifting.regret(SPACES[1], at_margins, 1.0)) == 2
    rng = np.random.default_rng(0)
    risen = [rising.rewards(SPACES[1], at_margins, progress, rng)[1] for progress in (0.0, 1.0)]
    assert risen == pytest.approx([0.5, 0.95], abs=0.001)
    assert LANDSCAPES["plateau"].regret(SPACES[1], np.array([[0.05]]), 0.0)[0] > 0.95 * DEPTH
    beyond = LANDSCAPES["saturating"].regret(SPACES[1], np.array([[0.4], [0.9]]), 0.0)
    assert beyond == pytest.approx([0.0, 0.0], abs=1e-12)


def test_verdicts_are_paired_and_one_sided() -> None:
    noise_S = np.random.default_rng(0).standard_normal(20)
    assert beaten(noise_S + 0.1, noise_S)
    assert not beaten(noise_S, noise_S + 0.1)
    assert not beaten(noise_S + 0.01, np.random.default_rng(1).standard_normal(20))
    assert not beaten(noise_S, noise_S)


@pytest.mark.parametrize("landscape", ["noisy", "drifting", "rising"])
def test_nobody_without_extras_is_surely_better_than_the_default(landscape: str) -> None:
    final = {
        name: at(
            [search(name, LANDSCAPES[landscape], SPACES[1], 4, seed) for seed in SEEDS],
            "mean_R",
            1.0,
        )
        for name in ("reinforce", "paper", "reinforce_adaptive", DEFAULT)
    }
    assert [name for name in final if beaten(final[DEFAULT], final[name])] == []
    assert final[DEFAULT].mean() < 0.05, "in points of accuracy; the start is at 1.2"


def test_plain_reinforce_is_surely_worse_where_little_noise_hides_the_optimum() -> None:
    for landscape in ("drifting", "rising"):
        plain, default = (
            at(
                [search(name, LANDSCAPES[landscape], SPACES[1], 4, seed) for seed in SEEDS],
                "mean_R",
                1.0,
            )
            for name in ("reinforce", DEFAULT)
        )
        assert beaten(plain, default)
