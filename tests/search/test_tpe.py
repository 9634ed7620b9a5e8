"""TPE by optuna: a pure function of a window of rounds, inside a finite box, and quiet."""

from __future__ import annotations

import numpy as np
import pytest
from closed_rounds import closed_round, searched

from lfs_ray.errors import ConfigError
from lfs_ray.search import tpe
from lfs_ray.search.policy import build_policy
from lfs_ray.search.space import SPACES, build_space
from lfs_ray.search.state import PolicySettings

SPACE = build_space("margin")


def test_the_optimum_is_found_roughly() -> None:
    policy = build_policy("tpe", SPACE)
    states = searched(policy, SPACE, lambda m_B1: -((m_B1[:, 0] - 0.4) ** 2), rounds=20)
    assert states[-1].mean[0] == pytest.approx(0.4, abs=0.1)
    assert states[-1].std[0] < states[0].std[0] / 2.0
    draws_ND = policy.sample(states[-1], 0, 30)
    assert np.mean(np.abs(draws_ND - 0.4) < 0.2) > 0.6


@pytest.mark.parametrize("name", SPACES)
def test_draws_lie_in_the_box_and_are_their_own_thetas(name: str) -> None:
    space = build_space(name)
    policy = build_policy("tpe", space)
    low, high = space.span(space.default_start, space.default_sigma)
    state = policy.initial_state()
    for number in range(4):
        draws_BD = policy.sample(state, number, 4)
        assert np.all((draws_BD >= low) & (draws_BD <= high))
        np.testing.assert_array_equal(space.project(draws_BD), draws_BD)
        state = policy.update(state, closed_round(space, draws_BD, draws_BD[:, 0]))
    assert len(state.history) == 4


@pytest.mark.parametrize(("members", "rounds"), [(4, 16), (30, 3), (100, 1)])
def test_the_newest_rounds_are_remembered(members: int, rounds: int) -> None:
    policy, state = build_policy("tpe", SPACE), build_policy("tpe", SPACE).initial_state()
    rng = np.random.default_rng(0)
    for _ in range(20):
        draws_BD = rng.random((members, 1))
        state = policy.update(state, closed_round(SPACE, draws_BD, rng.random(members)))
    assert len(state.history) == rounds
    assert state.history[-1] == closed_round(SPACE, draws_BD, [0.0] * members).rows() or all(
        row[1] in draws_BD for row in state.history[-1]
    )
    assert state.step == 20


def test_mean_and_deviation_are_those_of_the_best_quarter() -> None:
    policy = build_policy("tpe", SPACE)
    draws = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    members = closed_round(SPACE, draws, [0.0, 0.9, 0.1, 0.8, 0.2, 0.3, 0.1, 0.0])
    state = policy.update(policy.initial_state(), members)
    assert state.mean[0] == pytest.approx(0.3)
    assert state.std[0] == pytest.approx(0.1)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    policy = build_policy("tpe", SPACE)
    searched(policy, SPACE, lambda m_B1: m_B1[:, 0], rounds=4)
    assert capfd.readouterr() == ("", "")


def test_without_optuna_there_is_one_line_of_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpe, "FOUND", False)
    with pytest.raises(ConfigError, match=r"pip install lfs-ray\[optuna\]") as caught:
        build_policy("tpe", SPACE)
    assert len(caught.value.mistakes) == 1


def test_sigma_says_how_far_to_look_where_a_space_has_no_end() -> None:
    policy = build_policy("tpe", build_space("raw"), PolicySettings(start=-50.0, sigma=10.0))
    draws_ND = policy.sample(policy.initial_state(), 0, 200)
    assert draws_ND.min() < -90.0
    assert draws_ND.min() >= -100.0
    assert draws_ND.max() <= 0.0
