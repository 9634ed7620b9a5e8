"""Whether loss, space, policy and members fit together: one line a mistake, all at once."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lfs_ray.config.build import build_config
from lfs_ray.config.dump import dump_toml
from lfs_ray.config.load import read_config
from lfs_ray.config.resolve import resolve
from lfs_ray.execution.fit import population_mistakes, with_losses_resolved
from lfs_ray.losses.catalogue import LOSSES

FIXED = {"policy": "fixed"}


def _mistakes(**table: Any) -> list[str]:
    config, wrong = build_config(table, place="the test")
    assert not wrong
    return population_mistakes(config)


@pytest.mark.parametrize(
    ("table", "start"),
    [
        (
            {"search": {"members": 2, "policy": "cma"}},
            "search.members must be at least 3 for policy cma, got 2: raise it",
        ),
        (
            {"search": {"members": 1}},
            "search.members must be at least 2 for policy pgpe, got 1",
        ),
        (
            {"search": {"members": 1, "policy": "selection_only"}},
            "search.members must be at least 2 for policy selection_only, got 1: raise it",
        ),
        (
            {"search": {"policy": "random"}},
            "search.members must be 1 for policy random, got 4: lower it",
        ),
        (
            {"search": {"policy": "schedule", "members": 1}},
            "search.script must hold 1 for each round of policy schedule with loss global, got 0",
        ),
        (
            {
                "search": {"policy": "schedule", "members": 1, "script": [0.1] * 11},
                "loss": {"name": "local"},
            },
            "search.script must hold 10 for each round of policy schedule with loss local, got 11",
        ),
        (
            {"loss": {"name": "arcface"}},
            "search.policy must be fixed for loss arcface, got pgpe: set it to fixed",
        ),
        (
            {"loss": {"name": "local"}, "search": {"space": "released-global"}},
            "search.space must be one of margin, raw, log, released-local for loss local",
        ),
        (
            {"search": {"space": "marging"}},
            "search.space must be one of margin, raw, log, released-global for loss global, got "
            "marging: did you mean 'margin'?",
        ),
        (
            {"search": {"start": 1.5}},
            "search.start must lie in [0, 1] (space margin, margin, unit cosine), got 1.5: ",
        ),
        (
            {"search": {"start": [0.1, 0.2]}, "loss": {"name": "local"}},
            "search.start must hold 1 or 10 numbers, got 2: ",
        ),
        ({"search": {"sigma": [0.1, 0.2]}}, "search.sigma must hold 1 number, got 2: "),
        (
            {"search": {"warmup_theta": [0.1, 0.2]}, "loss": {"name": "local"}},
            "search.warmup_theta must hold 1 or 10 numbers, got 2: give one for all components",
        ),
        (
            {"search": {"policy": "schedule", "members": 1, "script": [0.1, 1.5, 2.5]}},
            "search.script must lie in [0, 1] (margin of space margin), got 1.5: move it into",
        ),
        (
            {"search": {**FIXED, "warmup_theta": [0.1] * 9 + [-0.1]}, "loss": {"name": "local"}},
            "search.warmup_theta must lie in [0, 1] (margin_9 of space margin), got -0.1: ",
        ),
        (
            {"loss": {"name": "arcface", "options": ["t"]}, "search": FIXED},
            "loss.options must be texts name=value, got 't': write it like 't=0.2'",
        ),
        (
            {"loss": {"name": "normface", "rule": "easy"}, "search": FIXED},
            "options of loss 'normface' must be among ",
        ),
        ({"search": {"start": [0.1, 0.2]}}, "search.start must hold 1 number, got 2: "),
        (
            {"search": {"warmup_theta": -0.1}},
            "search.warmup_theta must lie in [0, 1] (margin of space margin), got -0.1: move",
        ),
        (
            {"search": {"space": "raw", "warmup_theta": 0.1}},
            "search.warmup_theta must lie in [-inf, 0] (a of space raw), got 0.1: move it",
        ),
        (
            {"loss": {"name": "am_softmax", "margin": 2.0}, "search": FIXED},
            "option margin of loss 'am_softmax' must be in [0, 2), found 2.0",
        ),
        (
            {"loss": {"name": "curricularfase"}, "search": FIXED},
            "loss.name must be one of ",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(table: dict[str, Any], start: str) -> None:
    (line,) = _mistakes(**table)
    assert line.startswith(start)
    assert "\n" not in line


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"search": {"members": 1, "policy": "random"}},
        {"search": {"members": 1, "policy": "fixed"}},
        {"search": {"policy": "schedule", "members": 1, "script": [0.1, 0.2]}},
        {"search": FIXED, "loss": {"name": "arcface", "margin": 2.5}},
        {"search": FIXED, "loss": {"name": "normface"}},
        {"search": {"space": "released-local"}, "loss": {"name": "local"}},
        {"search": {"space": "raw", "start": -2.0, "warmup_theta": -2.0}},
        {"search": {"space": "log", "start": 9.0}},
        {"search": {"start": 0.0, "warmup_theta": 1.0}},
        {"search": {**FIXED, "space": "nothing"}, "loss": {"name": "normface"}},
        {"search": {**FIXED, "script": [5.0]}},
        {"search": {"warmup_theta": [0.1] * 10}, "loss": {"name": "local"}},
        {"search": {"space": "margin", "start": [0.1] * 10}, "loss": {"name": "local"}},
    ],
)
def test_what_fits_is_not_refused(table: dict[str, Any]) -> None:
    assert _mistakes(**table) == []


def test_populations_that_share_a_mistake_share_its_line() -> None:
    lines = _mistakes(
        search={"members": 1},
        populations={
            "a": {},
            "b": {},
            "c": {"search": FIXED, "loss": {"name": "arcface"}},
            "d": {"loss": {"name": "arcface"}},
        },
    )
    assert [line.partition(":")[0] for line in lines] == [
        "search.members must be at least 2 for policy pgpe, got 1 in populations a, b",
        "search.policy must be fixed for loss arcface, got pgpe in population d",
    ]


def test_search_and_loss_are_only_templates_beside_populations() -> None:
    assert _mistakes(search={"members": 1}, populations={"a": {"search": {"members": 2}}}) == []


def test_a_resolved_run_says_scale_space_and_options_of_every_loss() -> None:
    table = {
        "loss": {"margin": 0.3, "name": "am_softmax"},
        "search": {"policy": "fixed"},
        "populations": {
            "am": {},
            "arc": {"loss": {"name": "arcface"}},
            "search": {"loss": {"name": "global"}, "search": {"policy": "reinforce"}},
        },
    }
    config, wrong = build_config(table, place="the test")
    assert not wrong
    resolved = with_losses_resolved(resolve(config, name="r"))
    am, arc, searched = (resolved.populations[name].loss for name in ("am", "arc", "search"))
    assert (am.scale, am.margin, am.rule) == (64.0, 0.3, "plain")
    assert (arc.scale, arc.margin, arc.rule, arc.grad) == (64.0, 0.5, "fallback", "exact")
    assert (searched.scale, searched.margin) == (32.0, None)
    assert resolved.populations["search"].search.space == "margin"
    assert read_config(dump_toml(resolved), place="the test") == resolved
    assert with_losses_resolved(resolved) == resolved


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_fits_with_what_its_resolved_run_says(name: str) -> None:
    search = {} if LOSSES[name].spaces else FIXED
    config, wrong = build_config({"loss": {"name": name}, "search": search}, place="the test")
    assert not wrong
    assert population_mistakes(config) == []
    resolved = with_losses_resolved(resolve(config, name="r"))
    assert population_mistakes(resolved) == []
    read = read_config(dump_toml(resolved), place="config.toml")
    assert (read, with_losses_resolved(read)) == (resolved, resolved)
    main = resolved.populations["main"]
    assert main.search.space == (LOSSES[name].spaces[0] if LOSSES[name].spaces else "")


def test_what_resolving_leaves_as_it_is() -> None:
    """A template that no population uses may be unfit, and a space that was named stays."""
    table = {
        "loss": {"name": "nothing", "margin": 9.0},
        "populations": {"a": {"loss": {"name": "global"}, "search": {"space": "raw"}}},
    }
    config, _ = build_config(table, place="the test")
    resolved = with_losses_resolved(config)
    assert resolved.loss == config.loss
    assert resolved.populations["a"].search == config.populations["a"].search
    assert resolved.populations["a"].loss.scale == 32.0


def test_the_search_s_own_words_become_keys() -> None:
    """Every mistake that a searcher finds in a population begins with a key."""
    tables = [{"start": math.pi}, {"start": [1.0, 1.0]}, {"sigma": [1.0, 1.0]}]
    for search in tables:
        (line,) = _mistakes(search=search)
        (key,) = search
        assert line.startswith(f"search.{key} must ")
        assert ", got " in line
        assert "found" not in line
