"""Deviations that learn, mirrored members, steps and starts of their own for every component."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from closed_rounds import closed_round, searched

from lfs_ray.search.gaussian import GaussianPolicy
from lfs_ray.search.policy import DEVIATION, build_policy
from lfs_ray.search.space import SearchSpace, build_space
from lfs_ray.search.state import PolicySettings

SPACE = build_space("margin")


def gaussian(name: str, space: SearchSpace = SPACE, **settings: object) -> GaussianPolicy:
    policy = build_policy(name, space, PolicySettings(**settings))  # type: ignore[arg-type]
    assert isinstance(policy, GaussianPolicy)
    return policy


def test_gradient_of_the_deviation_is_that_of_the_weighted_log_density() -> None:
    policy = gaussian("reinforce_adaptive", build_space("margin", 3), start=0.4)
    state = policy.initial_state()
    draws_BD = policy.sample(state, 3, 6)
    members = closed_round(build_space("margin", 3), draws_BD, np.random.default_rng(0).random(6))

    def objective(log_change: np.ndarray) -> float:
        std = tuple((np.array(state.std) * np.exp(log_change)).tolist())
        log_prob_B = policy.log_prob(dataclasses.replace(state, std=std), draws_BD)
        return float(np.mean(members.advantages_B * log_prob_B))

    step = 1e-5
    slow = [(objective(step * e) - objective(-step * e)) / (2.0 * step) for e in np.eye(3)]
    first_moment = policy.update(state, members).first_moment
    assert len(first_moment) == 6
    np.testing.assert_allclose(2.0 * np.array(first_moment[3:]), slow, rtol=1e-6, atol=1e-8)


def test_the_deviation_narrows_at_an_optimum_and_stays_within_its_bounds() -> None:
    policy = gaussian("reinforce_adaptive", start=0.4)
    states = searched(policy, SPACE, lambda m_B1: -((m_B1[:, 0] - 0.4) ** 2), rounds=80)
    widths = [state.std[0] for state in states]
    assert widths[0] == 0.1
    assert widths[-1] == pytest.approx(DEVIATION.least * 0.1)
    assert all(0.1 * DEVIATION.least <= width <= 0.1 * DEVIATION.greatest for width in widths)


def test_the_deviation_comes_back_when_far_draws_win() -> None:
    policy = gaussian("reinforce_adaptive", start=0.5)
    narrow = dataclasses.replace(policy.initial_state(), std=(0.03,))
    members = closed_round(SPACE, [0.44, 0.49, 0.51, 0.56], [1.0, 0.0, 0.0, 1.0])
    after = policy.update(narrow, members)
    assert after.mean[0] == pytest.approx(0.5, abs=1e-6)
    assert after.std[0] == pytest.approx(0.03 * math.exp(DEVIATION.learning_rate), rel=1e-6)


@pytest.mark.parametrize("members", [1, 2, 4, 5, 8])
def test_members_come_in_mirrored_pairs_and_an_odd_one_draws_the_mean(members: int) -> None:
    policy = gaussian("pgpe", build_space("margin", 3), start=0.4)
    away_BD = policy.sample(policy.initial_state(), 0, members) - 0.4
    np.testing.assert_allclose(away_BD[0 : members - 1 : 2], -away_BD[1::2], atol=1e-15)
    if members % 2:
        assert away_BD[-1].tolist() == [0.0] * 3
    assert len({tuple(row) for row in np.abs(away_BD).round(12)}) == members // 2 + members % 2


def test_what_both_of_a_pair_gain_does_not_move_the_mean() -> None:
    policy = gaussian("pgpe", start=0.5)
    members = closed_round(SPACE, [0.7, 0.3, 0.55, 0.45], [0.9, 0.9, 0.2, 0.2])
    assert policy.update(policy.initial_state(), members).mean[0] == pytest.approx(0.5)


def test_mirrored_draws_find_a_parabola_without_noise_exactly() -> None:
    policy = gaussian("pgpe", start=0.05)
    plain = gaussian("reinforce", start=0.05)
    missed = {
        name: np.mean(
            [
                abs(searched(it, SPACE, peak, rounds=40, seed=seed)[-1].mean[0] - 0.4)
                for seed in range(10)
            ]
        )
        for name, it in (("pgpe", policy), ("reinforce", plain))
    }
    assert missed["pgpe"] < 0.01
    assert missed["pgpe"] < missed["reinforce"] / 3.0


def peak(margin_B1: np.ndarray) -> np.ndarray:
    return np.asarray(-((margin_B1[:, 0] - 0.4) ** 2))


def test_components_have_starts_deviations_and_steps_of_their_own() -> None:
    space = build_space("sample-margin")
    policy = gaussian(
        "reinforce", space, start=(0.3, 0.1), sigma=(0.1, 0.02), learning_rate=(0.04, 0.01)
    )
    state = policy.initial_state()
    assert (state.mean, state.std) == ((0.3, 0.1), (0.1, 0.02))
    members = closed_round(space, [[0.4, 0.12], [0.2, 0.08]], [1.0, 0.0])
    assert policy.update(state, members).mean == pytest.approx((0.34, 0.11))
    default = gaussian("reinforce", space).initial_state()
    assert (default.mean, default.std) == (space.default_start, space.default_sigma)


def test_every_component_is_clipped_to_its_own_bounds() -> None:
    space = build_space("sample-margin", upper=0.4)
    policy = gaussian("reinforce", space, start=(0.39, 0.195), learning_rate=1.0)
    members = closed_round(space, [[0.5, 0.3], [0.3, 0.1]], [1.0, 0.0])
    assert policy.update(policy.initial_state(), members).mean == (0.4, 0.2)
