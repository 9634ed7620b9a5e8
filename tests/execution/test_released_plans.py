"""Plans and policies under switches of the released code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_cases import config_of

from lfs_ray.config.sections import LossConfig, PopulationConfig, SearchConfig
from lfs_ray.execution.blueprint import plan_population
from lfs_ray.execution.fit import population_mistakes, with_losses_resolved
from lfs_ray.search.searcher import Plan, Searcher
from lfs_ray.search.state import PolicyState

SEARCH = {"policy": "reinforce", "round_epochs": 1.0}


def planned(
    *compat: Any, epoch_images: int = 640, loss: str = "global", **search: Any
) -> tuple[Plan, Searcher]:
    given = SearchConfig(compat=compat, **{**SEARCH, **search})
    population = PopulationConfig(search=given, loss=LossConfig(name=loss))
    config = with_losses_resolved(config_of({"main": population}))
    assert population_mistakes(config) == []
    return plan_population(config, "main", epoch_images)


def test_without_switches_nobody_keeps_anything() -> None:
    plan, _ = planned()
    assert (plan.own_weights_rounds, plan.own_momentum, plan.warmup_rounds) == (0, False, 0)


@pytest.mark.parametrize(("round_epochs", "rounds"), [(1.0, 3), (0.5, 6), (2.0, 2), (0.75, 4)])
def test_members_are_first_copied_after_the_third_epoch(round_epochs: float, rounds: int) -> None:
    plan, _ = planned("independent_init", round_epochs=round_epochs)
    assert (plan.own_weights_rounds, plan.own_momentum) == (rounds, False)


@pytest.mark.parametrize("epoch_images", [640, 650, 630, 1000, 999])
def test_epochs_are_rounds_though_rounds_are_whole_batches(epoch_images: int) -> None:
    plan, _ = planned("independent_init", "fixed_first_epochs", epoch_images=epoch_images)
    assert (plan.warmup_rounds, plan.own_weights_rounds) == (2, 3)


def test_momentum_alone() -> None:
    plan, _ = planned("keep_momentum")
    assert (plan.own_weights_rounds, plan.own_momentum) == (0, True)


@pytest.mark.parametrize("loss", ["global", "local"])
@pytest.mark.parametrize("policy", ["reinforce", "paper", "pgpe"])
def test_the_preset_searches_as_the_released_code_did(loss: str, policy: str) -> None:
    plan, searcher = planned("released", loss=loss, policy=policy)
    assert (plan.warmup_rounds, plan.own_weights_rounds, plan.own_momentum) == (2, 3, True)
    assert plan.shared_batches
    assert searcher.shaping == "range"
    state = searcher.initial_state()
    size = len(searcher.space.names)
    first = (-1.0,) + (0.0,) * (size - 1)
    for number in (0, 1):
        assert searcher.propose(state, plan, number).thetas == (first,) * 4
    assert searcher.space.margins(np.array([first]))[0, 0] == pytest.approx(  # type: ignore[attr-defined]
        1 / 3 if loss == "global" else 1 / 2, abs=1e-6
    )


def learned(rounds: int, *compat: Any, **search: Any) -> list[PolicyState]:
    """States of a policy whose reward is its theta."""
    plan, searcher = planned("released_scale", *compat, **search)
    states = [searcher.initial_state()]
    for number in range(rounds):
        proposal = searcher.propose(states[-1], plan, number)
        rewards_B = np.array([theta[0] for theta in proposal.thetas])
        states.append(searcher.learn(states[-1], proposal, rewards_B)[1])
    return states


def test_the_mean_that_passes_a_relu_never_moves() -> None:
    assert {state.mean for state in learned(8, "selection_only")} == {(0.0,)}
    assert learned(8)[-1].mean != learned(8)[0].mean


def test_the_unfolded_score_moves_the_mean_otherwise() -> None:
    usual, unfolded = learned(5, start=(0.3,)), learned(5, "unfolded_score", start=(0.3,))
    assert unfolded[0] == usual[0]
    assert unfolded[-1].mean != usual[-1].mean


def test_ten_components_are_one_that_is_used() -> None:
    usual, ten = learned(5), learned(5, "ten_component_policy")
    assert [len(state.mean) for state in ten] == [10] * 6
    assert [state.mean[:1] for state in ten] == [state.mean for state in usual]
    assert len(set(ten[-1].mean[1:])) == 9


def test_mistakes_of_switches_name_their_populations() -> None:
    bad = PopulationConfig(search=SearchConfig(compat=("keep_momentum",), members=1))
    config = config_of({"good": PopulationConfig(), "bad": PopulationConfig()})
    config.populations["bad"] = bad
    lines = [line for line in population_mistakes(config) if "keep_momentum" in line]
    assert len(lines) == 1
    assert "got 1 in population bad: change it" in lines[0]


def test_a_score_that_needs_a_folded_space_says_so() -> None:
    bad = PopulationConfig(search=SearchConfig(policy="reinforce", compat=("unfolded_score",)))
    config = config_of({"main": PopulationConfig()})
    config.populations["main"] = bad
    (line,) = population_mistakes(config)
    assert "unfolded_score needs a space whose theta is -abs(draw), got margin" in line
