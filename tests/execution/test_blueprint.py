"""Lengths, plans and searchers of a configuration; names that rooms share agree."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from executor_cases import config_of

from lfs_ray.config import choices
from lfs_ray.config.sections import Config, LossConfig, PopulationConfig, SearchConfig
from lfs_ray.errors import ConfigError
from lfs_ray.evaluation.verification import RULES
from lfs_ray.execution.blueprint import (
    DEFAULT_SCALE,
    FIXED_MARGINS,
    build_populations,
    build_searcher,
    lengths,
    plan_population,
)
from lfs_ray.losses.catalogue import LOSSES, build_loss
from lfs_ray.losses.spaces import SPACES as SPACES_OF_LOSSES
from lfs_ray.losses.spec import HeadSize
from lfs_ray.models.catalogue import BACKBONES
from lfs_ray.search.forms import SPACES, spaces_for
from lfs_ray.search.messages import WorkerId
from lfs_ray.search.policy import POLICIES
from lfs_ray.search.rewards import SHAPINGS


def population(loss: LossConfig | None = None, **search: Any) -> PopulationConfig:
    return PopulationConfig(search=SearchConfig(**search), loss=loss or LossConfig())


def config_with(loss: LossConfig | None = None, **search: Any) -> Config:
    return config_of({"main": population(loss, **search)})


# ---- names


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        (choices.BackboneName, BACKBONES),
        (choices.ShapingName, SHAPINGS),
        (choices.RuleName, RULES),
        (choices.PolicyName, {*POLICIES, "schedule"}),
    ],
    ids=["backbone", "shaping", "rule", "policy"],
)
def test_configuration_offers_what_there_is(choice: Any, offered: Any) -> None:
    assert sorted(get_args(choice)) == sorted(offered)


def test_search_and_losses_know_the_same_spaces() -> None:
    for name, spec in LOSSES.items():
        assert sorted(spaces_for(name)) == sorted(spec.spaces), name
        assert spaces_for(name)[:1] == spec.spaces[:1]


@pytest.mark.parametrize("name", sorted(SPACES_OF_LOSSES))
def test_search_and_losses_give_the_same_shift(name: str) -> None:
    form = SPACES[name]
    loss = LossConfig(name=next(iter(form.losses)))
    searcher = build_searcher(SearchConfig(space=name), loss)
    state = searcher.initial_state()
    theta = searcher.space.project(np.array([state.mean]))[0].tolist()
    shifts = SPACES_OF_LOSSES[name](theta, 32.0)
    assert searcher.margin_of(state) == pytest.approx(sum(shifts) / len(shifts) / 32.0)


@pytest.mark.parametrize("name", sorted(name for name in LOSSES if LOSSES[name].spaces))
def test_every_space_starts_at_a_theta_that_its_loss_takes(name: str) -> None:
    for space in LOSSES[name].spaces:
        searcher = build_searcher(SearchConfig(space=space), LossConfig(name=name))
        mean_1D = np.array([searcher.initial_state().mean])
        theta = searcher.space.project(mean_1D)[0].tolist()
        size = HeadSize(num_classes=5, embedding_dim=4, epoch_images=1)
        assert build_loss(name, theta=theta, space=space, size=size).scale == DEFAULT_SCALE


def test_margins_of_hand_made_losses_are_those_of_the_catalogue() -> None:
    cosine = {name for name, spec in LOSSES.items() if spec.margin_in_cosine}
    assert FIXED_MARGINS.keys() == cosine | {"normface"}
    for name in cosine:
        option = LOSSES[name].options["margin"]
        assert option.default == FIXED_MARGINS[name]


# ---- lengths


@pytest.mark.parametrize(
    ("round_epochs", "epoch_images", "round_images"),
    [(0.5, 640, 320), (0.5, 641, 320), (1.0, 100, 96), (1e-6, 640, 32), (2.0, 640, 1280)],
)
def test_round_is_a_whole_number_of_batches(
    round_epochs: float, epoch_images: int, round_images: int
) -> None:
    config = config_with(round_epochs=round_epochs, rounds=7)
    length = lengths(config, config.populations["main"], epoch_images)
    assert length.round_images == round_images
    assert length.total_images == 7 * round_images
    assert length.epoch_images == epoch_images
    plan, _ = plan_population(config, "main", epoch_images)
    assert plan.round_epochs == round_images / epoch_images


@pytest.mark.parametrize(
    ("warmup_epochs", "rounds"), [(0.0, 0), (0.1, 1), (0.5, 1), (0.51, 2), (1.5, 3)]
)
def test_warmup_fills_whole_rounds(warmup_epochs: float, rounds: int) -> None:
    config = config_with(round_epochs=0.5, warmup_epochs=warmup_epochs)
    assert plan_population(config, "main", 640)[0].warmup_rounds == rounds


def test_rounding_makes_no_warmup_round_more() -> None:
    config = config_with(round_epochs=0.15, warmup_epochs=1.05)
    plan, _ = plan_population(config, "main", 640)
    assert math.ceil(1.05 / plan.round_epochs) == 8
    assert plan.warmup_rounds == 7


# ---- batches


@pytest.mark.parametrize(
    ("policy", "members", "loss", "shared"),
    [
        ("reinforce", 4, "global", True),
        ("selection_only", 2, "local", True),
        ("random", 1, "global", True),
        ("fixed", 1, "am_softmax", True),
        ("fixed", 3, "am_softmax", False),
        ("fixed", 3, "global", False),
    ],
)
def test_members_share_batches_where_their_thetas_differ(
    policy: Any, members: int, loss: Any, shared: bool
) -> None:
    config = config_with(LossConfig(name=loss), policy=policy, members=members)
    plan, _ = plan_population(config, "main", 640)
    assert plan.shared_batches is shared
    seeds = {plan.trial_seed(0, member) for member in range(members)}
    assert len(seeds) == (1 if shared else members)


def test_selection_without_spread_has_its_own_batches() -> None:
    config = config_with(policy="selection_only", members=2, sigma=(0.0,))
    assert not plan_population(config, "main", 640)[0].shared_batches


# ---- searchers


def test_populations_carry_their_names_seeds_and_timeouts() -> None:
    config = config_of(
        {"a": population(members=2), "b": population(policy="random", members=1, seed=11)}
    )
    config = replace(config, worker=replace(config.worker, lease_timeout_s=7.0))
    built = build_populations(config, 640, boot="x")
    assert list(built) == ["a", "b"]
    plans = [one.plan for one in built.values()]
    assert [(one.name, one.seed, one.members) for one in plans] == [("a", 5, 2), ("b", 11, 1)]
    assert {one.lease_timeout_s for one in plans} == {7.0}
    leases = [one.lease(WorkerId(index=0, incarnation="a"), 0.0) for one in built.values()]
    assert all(lease and lease.token.startswith("x-") for lease in leases)


def test_handmade_losses_show_their_margin() -> None:
    fixed = SearchConfig(policy="fixed", members=1)
    losses = {
        "am_softmax": LossConfig(name="am_softmax", margin=0.2),
        "normface": LossConfig(name="normface"),
        "arcface": LossConfig(name="arcface", margin=0.5),
    }
    margins = {}
    for name, loss in losses.items():
        searcher = build_searcher(fixed, loss)
        assert searcher.space.names == ()
        margins[name] = searcher.margin_of(searcher.initial_state())
    assert margins["am_softmax"] == 0.2
    assert margins["normface"] == 0.0
    assert math.isnan(margins["arcface"])


def test_searched_loss_takes_the_settings_of_the_section() -> None:
    search = SearchConfig(start=(0.2,), sigma=(0.03,), shaping="rank", warmup_theta=(0.1,))
    searcher = build_searcher(search, LossConfig(name="local"))
    state = searcher.initial_state()
    assert state.mean == (0.2,) * 10
    assert state.std == (0.03,) * 10
    assert searcher.shaping == "rank"
    assert searcher.warmup_theta == (0.1,) * 10


def test_schedule_replays_its_thetas() -> None:
    config = config_with(policy="schedule", members=1, rounds=3, script=(0.1, 0.3))
    plan, searcher = plan_population(config, "main", 640)
    state = searcher.initial_state()
    thetas = [searcher.propose(state, plan, number).thetas for number in range(3)]
    assert thetas == [((0.1,),), ((0.3,),), ((0.3,),)]
    assert searcher.method == "schedule"


def test_space_that_does_not_fit_is_an_error() -> None:
    search = SearchConfig(space="released-local")
    with pytest.raises(ConfigError, match=r"loss global must be one of .*; found released-local"):
        build_searcher(search, LossConfig(name="global"))
