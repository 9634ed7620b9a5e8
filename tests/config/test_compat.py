"""Every switch alone, the preset, and what is refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, get_args

import numpy as np
import pytest

from lfs_ray.config.choices import CompatName
from lfs_ray.config.compat import (
    PRESET,
    SWITCHES,
    switch_mistakes,
    with_section_switches,
    with_switches,
)
from lfs_ray.config.dump import dump_toml
from lfs_ray.config.load import read_config
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import (
    Config,
    LossConfig,
    OptimizerConfig,
    PopulationConfig,
    SearchConfig,
)
from lfs_ray.search.space import build_space, spaces_for

STEPS = OptimizerConfig(schedule="milestones", milestones_epochs=(4.0, 8.0, 10.0))
LOSS_BY_SWITCH = {"easy_heads": "am_softmax"}
POPULATION_SETTINGS = {
    "selection_only": {"search.start": (0.0,)},
    "range_reward": {"search.shaping": "range"},
    "released_scale": {"search.space": "released-global"},
    "fixed_first_epochs": {
        "search.warmup_epochs": 2.0,
        "search.warmup_theta": (pytest.approx(1 / 3, abs=1e-6),),
    },
    "probability_space_loss": {"loss.options": ("probability_space=true",)},
    "easy_heads": {"loss.rule": "easy", "loss.scale": 32.0},
}
SECTION_SETTINGS = {
    "early_lr_step": {"optimizer.milestones_epochs": (3.0, 7.0, 9.0)},
    "lfw_reward": {"reward.rule": "lfs"},
    "weight_decay_1e-4": {"optimizer.weight_decay": 1e-4},
    "lfs_pixels": {"model.colour": "bgr", "model.pixel_scale": 128.0, "model.pixel_mean": 127.5},
}


def population(*compat: Any, loss: str = "global", **search: Any) -> PopulationConfig:
    settings = {"policy": "reinforce", **search}
    return PopulationConfig(
        search=SearchConfig(compat=compat, **settings), loss=LossConfig(name=loss)
    )


def flat(section: Any) -> dict[str, Any]:
    """Keys and values of nested sections."""
    found: dict[str, Any] = {}
    for name, value in asdict(section).items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = value
    return found


def changes(old: Any, new: Any) -> dict[str, Any]:
    before = flat(old)
    return {key: value for key, value in flat(new).items() if before[key] != value}


# ---- one by one


def test_configuration_offers_what_there_is() -> None:
    assert {PRESET, *SWITCHES} == set(get_args(CompatName))


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_changes_its_own_settings_and_no_other(name: str) -> None:
    given = population(name, loss=LOSS_BY_SWITCH.get(name, "global"))
    assert changes(given, with_switches(given, STEPS)) == POPULATION_SETTINGS.get(name, {})
    config = Config(optimizer=STEPS)
    odd = replace(config.model, pixel_mean=100.0, pixel_scale=90.0)
    config = replace(config, model=odd)
    assert changes(config, with_section_switches(config, {name})) == SECTION_SETTINGS.get(name, {})


def test_switches_win_over_what_the_keys_say() -> None:
    given = population(
        "range_reward",
        "released_scale",
        "fixed_first_epochs",
        "selection_only",
        shaping="rank",
        space="margin",
        warmup_epochs=7.0,
        warmup_theta=(0.1,),
        start=(0.2,),
    )
    search = with_switches(given, STEPS).search
    assert (search.shaping, search.space, search.start) == ("range", "released-global", (0.0,))
    assert (search.warmup_epochs, search.warmup_theta) == (2.0, (-1.0,))


def test_an_option_that_said_otherwise_is_replaced() -> None:
    loss = LossConfig(options=("probability_space=false",))
    given = replace(population("probability_space_loss"), loss=loss)
    assert with_switches(given, STEPS).loss.options == ("probability_space=true",)


def test_no_switch_changes_nothing() -> None:
    assert with_switches(population(), STEPS) == population()
    assert with_section_switches(Config(), ()) == Config()


@pytest.mark.parametrize("scale", [16.0, 32.0, 64.0])
@pytest.mark.parametrize("space", spaces_for("global"))
def test_the_first_theta_is_the_released_one_in_every_space(space: str, scale: float) -> None:
    given = population("fixed_first_epochs", space=space)
    given = replace(given, loss=LossConfig(scale=scale))
    theta = with_switches(given, STEPS).search.warmup_theta
    released = build_space("released-global", scale=scale).margin(np.array([[-1.0]]))
    found = build_space(space, scale=scale).margin(np.array([theta]))
    assert found == pytest.approx(released, abs=1e-12)


@pytest.mark.parametrize("space", spaces_for("local"))
def test_the_first_theta_of_ten_bins_lies_in_the_first(space: str) -> None:
    theta = with_switches(population("fixed_first_epochs", loss="local", space=space), STEPS)
    made = build_space(space, 10)
    theta_BD = np.array([theta.search.warmup_theta])
    assert np.array_equal(made.project(theta_BD), theta_BD)
    margins = made.margins(theta_BD)[0]
    assert margins[0] == pytest.approx(0.5, abs=1e-6)
    assert margins[1:] == pytest.approx(0.0, abs=1e-4)


def test_a_scale_out_of_range_is_left_to_its_own_check() -> None:
    for scale in (0.0, -3.0, 1e300):
        given = replace(population("fixed_first_epochs"), loss=LossConfig(scale=scale))
        assert with_switches(given, STEPS).search.warmup_theta


# ---- the preset


def test_the_preset_is_every_switch_that_can_do_something() -> None:
    every = [*SWITCHES]
    without = {
        ("global", "reinforce"): {"easy_heads"},
        ("local", "paper"): {"easy_heads", "ten_component_policy"},
    }
    for (loss, policy), left_out in without.items():
        found = with_switches(population(PRESET, loss=loss, policy=policy), STEPS).search.compat
        assert list(found) == [name for name in every if name not in left_out]


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ("pgpe", "paper"),
        ("reinforce_adaptive", "paper"),
        ("reinforce", "reinforce"),
        ("paper", "paper"),
        ("cma", "cma"),
        ("random", "random"),
    ],
)
def test_the_preset_searches_by_the_plain_policy_gradient(given: str, settled: str) -> None:
    found = with_switches(population(PRESET, policy=given), STEPS).search
    assert found.policy == settled
    assert ("selection_only" in found.compat) == (settled in ("reinforce", "paper"))
    by_name = with_switches(population("range_reward", policy=given), STEPS).search
    assert by_name.policy == given


def test_the_preset_of_a_hand_made_loss_is_its_training() -> None:
    given = population(PRESET, loss="am_softmax", policy="fixed", members=1)
    settled = with_switches(given, OptimizerConfig())
    assert settled.search.compat == (
        "range_reward",
        "repeat_first_permutation",
        "same_order",
        "lfw_reward",
        "lowest_rank_ties",
        "easy_heads",
        "weight_decay_1e-4",
        "lfs_pixels",
    )
    assert (settled.loss.rule, settled.loss.scale) == ("easy", 32.0)


def test_a_replay_keeps_its_space_and_thetas() -> None:
    given = population(PRESET, policy="schedule", members=1, space="margin", script=(0.1,))
    search = with_switches(given, STEPS).search
    assert (search.space, search.warmup_epochs, search.start) == ("margin", 0.0, ())
    assert "duplicate_identity_weight" in search.compat


@pytest.mark.parametrize("loss", ["global", "local", "am_softmax", "am_lfs"])
def test_doing_it_again_changes_nothing(loss: str) -> None:
    once = with_switches(population(PRESET, loss=loss), STEPS)
    assert with_switches(once, STEPS) == once
    assert list(switch_mistakes(once, STEPS)) == []


def test_the_resolved_configuration_shows_the_result_and_reads_back() -> None:
    config = Config(
        search=SearchConfig(policy="reinforce", compat=("released",), shaping="rank"),
        populations={
            "searched": population("released"),
            "head": population("released", loss="am_softmax", policy="fixed", members=1),
            "plain": population(),
        },
    )
    resolved = resolve(config, name="x")
    assert resolved.search.shaping == "range"
    assert resolved.populations["searched"].search.space == "released-global"
    assert resolved.populations["plain"].search == replace(population().search, seed=0)
    assert PRESET not in dump_toml(resolved).replace("released-global", "").replace(
        "released_scale", ""
    )
    stored = read_config(dump_toml(resolved), place="config.toml")
    assert stored == resolved
    assert resolve(stored, name="x") == resolved


# ---- what can do nothing


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            population("unfolded_score", loss="am_softmax"),
            "loss.name must be global or local for search.compat unfolded_score, got "
            "'am_softmax': change it, or leave unfolded_score out",
        ),
        (
            population("selection_only", policy="cma"),
            "search.policy must be reinforce or paper for search.compat selection_only, got "
            "'cma': change it, or leave selection_only out",
        ),
        (
            population("ten_component_policy", loss="local"),
            "loss.name must be global for search.compat ten_component_policy, got "
            "'local': change it, or leave ten_component_policy out",
        ),
        (
            population("easy_heads"),
            "loss.name must be am_softmax or arcface or mv_am or mv_arc for search.compat "
            "easy_heads, got 'global': change it, or leave easy_heads out",
        ),
        (
            population("keep_momentum", policy="random", members=1),
            "search.members must be at least 2 for search.compat keep_momentum, got 1: change it, "
            "or leave keep_momentum out",
        ),
        (
            population("early_lr_step"),
            "optimizer.schedule must be milestones for search.compat early_lr_step, got "
            "'polynomial': change it, or leave early_lr_step out",
        ),
        (
            population("fixed_first_epochs", policy="fixed", members=1),
            "search.policy must be another than fixed or schedule for search.compat "
            "fixed_first_epochs, got 'fixed': change it, or leave fixed_first_epochs out",
        ),
    ],
)
def test_a_named_switch_that_can_do_nothing_is_refused(given: Any, line: str) -> None:
    assert list(switch_mistakes(given, OptimizerConfig())) == [line]
    preset = replace(given, search=replace(given.search, compat=(PRESET,)))
    assert list(switch_mistakes(preset, OptimizerConfig())) == []
