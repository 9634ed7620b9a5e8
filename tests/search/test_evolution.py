"""CMA-ES by the package cma: a pure function of the history, in any number of dimensions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from closed_rounds import closed_round, searched

from lfs_ray.search import evolution
from lfs_ray.search.policy import build_policy
from lfs_ray.search.space import SearchSpace, build_space
from lfs_ray.search.state import PolicySettings

SPACE = build_space("margin")


def distance(space: SearchSpace, theta_BD: np.ndarray, away: float) -> np.ndarray:
    optimum_D = np.array(space.default_start) + away * np.array(space.default_sigma)
    return np.asarray(-((theta_BD - optimum_D) ** 2).sum(axis=1))


@pytest.mark.parametrize(
    ("name", "members", "rounds"),
    [("margin", 4, 40), ("sample-margin", 6, 40), ("taylor", 10, 80)],
)
def test_a_parabola_is_climbed(name: str, members: int, rounds: int) -> None:
    space = build_space(name)
    policy = build_policy("cma", space)
    states = searched(
        policy,
        space,
        lambda theta_BD: distance(space, theta_BD, 1.5),
        rounds=rounds,
        members=members,
    )
    optimum_D = np.array(space.default_start) + 1.5 * np.array(space.default_sigma)
    missed_D = (np.array(states[-1].mean) - optimum_D) / np.array(space.default_sigma)
    assert np.sqrt(np.mean(missed_D**2)) < 0.25
    assert states[-1].step == rounds


def test_strategies_are_made_again_from_the_history_bit_for_bit() -> None:
    space = build_space("piecewise", bins=2)
    policy = build_policy("cma", space)
    states = searched(
        policy, space, lambda theta_BD: distance(space, theta_BD, 1.0), rounds=12, members=5
    )
    remembered = [policy.sample(state, 3, 5).tobytes() for state in states]
    evolution._STRATEGIES.clear()
    assert policy.sample(states[-1], 3, 5).tobytes() == remembered[-1]
    evolution._STRATEGIES.clear()
    assert [policy.sample(state, 3, 5).tobytes() for state in states] == remembered
    assert len(evolution._STRATEGIES) <= evolution.CACHED


def test_drawing_leaves_no_trace() -> None:
    policy = build_policy("cma", SPACE)
    state = searched(policy, SPACE, lambda m_B1: m_B1[:, 0], rounds=3)[-1]
    first = policy.sample(state, 1, 4)
    policy.sample(state, 2, 9)
    np.testing.assert_array_equal(policy.sample(state, 1, 4), first)


@pytest.mark.parametrize("finished", [0, 1, 2])
def test_too_few_finished_members_tell_nothing(finished: int) -> None:
    policy = build_policy("cma", SPACE)
    state = policy.initial_state()
    rewards = [0.1, 0.2, 0.3, 0.4][:finished] + [math.nan] * (4 - finished)
    assert policy.update(state, closed_round(SPACE, [0.1, 0.2, 0.3, 0.4], rewards)) == state


def test_rounds_may_lose_members_and_find_them_again() -> None:
    policy = build_policy("cma", SPACE)
    state = policy.initial_state()
    lone: tuple[float, ...] = ()
    for number, lost in enumerate([1, 0, 2, 0, 4, 5, 3]):
        draws_BD = policy.sample(state, number, 8)
        rewards_B = -np.abs(draws_BD[:, 0] - 0.3)
        rewards_B[:lost] = np.nan
        state = policy.update(state, closed_round(SPACE, draws_BD, rewards_B))
        lone = state.mean if lost == 4 else lone
        assert (state.mean == lone) == (lost in (4, 5)), "three cannot be the parents of eight"
    assert [len(rows) for rows in state.history] == [7, 8, 6, 8, 4, 3, 5]
    assert all(map(math.isfinite, (*state.mean, *state.std)))


def test_the_mean_stays_within_the_bounds_where_all_better_draws_lie_beyond() -> None:
    policy = build_policy("cma", SPACE)
    states = searched(policy, SPACE, lambda m_B1: m_B1[:, 0], rounds=40)
    assert all(0.0 <= state.mean[0] <= 1.0 for state in states)
    assert states[-1].mean[0] > 0.9


def test_deviations_stay_between_their_limits() -> None:
    rng = np.random.default_rng(0)
    policy = build_policy("cma", SPACE)
    for reward in (lambda m: -np.abs(m[:, 0] - 0.05), lambda m: rng.random(len(m))):
        widths = [state.std[0] / 0.1 for state in searched(policy, SPACE, reward, rounds=60)]
        assert widths[0] == 1.0
        assert min(widths) >= evolution.LEAST_DEVIATION - 1e-9
        assert max(widths) <= evolution.GREATEST_DEVIATION + 1e-9


def test_start_and_deviations_are_those_of_the_settings() -> None:
    space = build_space("sample-margin")
    settings = PolicySettings(start=(0.5, 0.2), sigma=(0.05, 0.01))
    policy = build_policy("cma", space, settings)
    draws_ND = policy.sample(policy.initial_state(), 0, 4000)
    np.testing.assert_allclose(draws_ND.mean(axis=0), [0.5, 0.2], atol=0.005)
    np.testing.assert_allclose(draws_ND.std(axis=0), [0.05, 0.01], rtol=0.05)
