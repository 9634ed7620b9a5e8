"""The released code's policy: each defect changes what it should, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from closed_rounds import closed_round, searched

from lfs_ray.errors import ConfigError
from lfs_ray.search.policy import Policy, build_policy
from lfs_ray.search.released import SWITCHES
from lfs_ray.search.searcher import Searcher
from lfs_ray.search.space import build_space
from lfs_ray.search.state import PolicySettings, PolicyState

SPACE = build_space("released-global")
ALL = frozenset(SWITCHES)
REWARDS = (0.2, 0.5, 0.3, 0.9)


def released(*switches: str, start: float | None = None, name: str = "reinforce") -> Policy:
    return build_policy(name, SPACE, PolicySettings(start=start, compat=frozenset(switches)))


def climb(policy: Policy, rounds: int = 30) -> list[PolicyState]:
    """Rounds in which more is better: theta near 0 wins."""
    return searched(policy, SPACE, lambda theta_BD: theta_BD[:, 0], rounds=rounds)


def test_selection_only_never_moves_and_always_draws_alike() -> None:
    policy = released("selection_only")
    states = climb(policy)
    assert {state.mean for state in states} == {(0.0,)}
    assert {policy.sample(state, 3, 4).tobytes() for state in states} == {
        (0.2 * np.random.default_rng(3).standard_normal((4, 1))).tobytes()
    }
    assert policy.learns, "its baseline is a population that selects"


def test_selection_only_lets_a_positive_mean_learn_until_it_is_negative() -> None:
    start = closed_round(SPACE, [0.1, 0.9], [1.0, 0.0])
    policy = released("selection_only", start=0.5)
    moved = policy.update(policy.initial_state(), start)
    assert moved.mean == (0.45,) or moved.mean[0] == pytest.approx(0.45)
    below = dataclasses.replace(moved, mean=(-0.01,), first_moment=(0.0,), second_moment=(0.0,))
    assert policy.update(below, start).mean == (-0.01,)
    at_zero = dataclasses.replace(below, mean=(0.0,))
    np.testing.assert_array_equal(policy.sample(below, 1, 4), policy.sample(at_zero, 1, 4))


def test_unfolded_score_turns_a_positive_mean_the_wrong_way() -> None:
    draws, rewards = [0.1, 0.5], [1.0, 0.0]  # the smaller magnitude is better
    honest, wrong = released(start=0.3), released("unfolded_score", start=0.3)
    members = closed_round(SPACE, draws, rewards)
    assert honest.update(honest.initial_state(), members).mean[0] == pytest.approx(0.25)
    assert wrong.update(wrong.initial_state(), members).mean[0] == pytest.approx(0.35)
    negative = closed_round(SPACE, [-0.1, -0.5], rewards)
    for policy in (released(start=-0.3), released("unfolded_score", start=-0.3)):
        assert policy.update(policy.initial_state(), negative).mean[0] == pytest.approx(-0.25)


def test_ten_components_are_drawn_and_learn_and_one_is_used() -> None:
    honest, ten = released(start=-0.4), released("ten_component_policy", start=-0.4)
    alone, among_ten = climb(honest), climb(ten)
    assert [state.mean[:1] for state in among_ten] == [state.mean for state in alone]
    assert {len(state.mean) for state in among_ten} == {10}
    assert ten.sample(among_ten[3], 7, 4).tolist() == honest.sample(alone[3], 7, 4).tolist()
    drift = np.abs(among_ten[-1].mean[1:])
    assert np.all(drift > 0.0)
    assert len(set(drift.tolist())) == 9
    assert drift.max() < 30 * 0.05


@pytest.mark.parametrize("switches", [ALL, *({switch} for switch in SWITCHES)])
def test_updates_are_a_function_of_draws_and_rewards_in_any_order(switches: set[str]) -> None:
    policy = released(*switches, start=0.3)
    state = climb(policy, 2)[-1]
    draws_BD = policy.sample(state, 5, 4)
    expected = policy.update(state, closed_round(SPACE, draws_BD, REWARDS))
    order = [2, 0, 3, 1]
    shuffled = closed_round(SPACE, draws_BD[order], np.array(REWARDS)[order])
    failed = closed_round(SPACE, [*draws_BD[:, 0], 7.0], [*REWARDS, np.nan])
    assert policy.update(state, shuffled).digest() == expected.digest()
    assert policy.update(state, failed).digest() == expected.digest()
    assert expected.digest() != state.digest()
    assert policy.update(state, closed_round(SPACE, draws_BD, [0.5] * 4)) == state


def test_all_of_it_together_searches_nothing() -> None:
    policy = released(*ALL)
    states = climb(policy)
    assert {state.mean[0] for state in states} == {0.0}
    assert max(map(abs, states[-1].mean[1:])) > 0.1
    searcher = Searcher(method="reinforce", space=SPACE, policy=policy)
    assert searcher.margin_of(states[-1]) == 0.0


def test_paper_can_be_released_too() -> None:
    assert released("selection_only", name="paper") == released("selection_only")


def test_no_switch_is_the_honest_policy() -> None:
    assert type(released()).__name__ == "GaussianPolicy"


@pytest.mark.parametrize(
    ("space", "size", "switch", "words"),
    [
        ("margin", 1, "unfolded_score", "theta is -abs.draw.; found margin"),
        ("released-local", 10, "ten_component_policy", "size 1; found 10"),
        ("margin", 1, "range_reward", "among selection_only, .* found range_reward"),
    ],
)
def test_switches_that_mean_nothing_are_one_line(
    space: str, size: int, switch: str, words: str
) -> None:
    settings = PolicySettings(compat=frozenset({switch}))
    with pytest.raises(ConfigError, match=words) as caught:
        build_policy("reinforce", build_space(space, size), settings)
    assert len(caught.value.mistakes) == 1
