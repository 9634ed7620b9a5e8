from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args

import pytest

from lfs_ray.config.keys import fields_of, named_entry
from lfs_ray.config.ranges import RANGES, range_mistakes
from lfs_ray.config.sections import (
    Config,
    LossConfig,
    MethodConfig,
    PopulationConfig,
    ReportConfig,
    SearchConfig,
)
from lfs_ray.config.values import optional_of

SECTIONS = [item.name for item in fields(Config) if is_dataclass(getattr(Config(), item.name))]


def _numbers(section: type) -> list[str]:
    """Names of the keys that hold a number or several."""
    kinds = {name: optional_of(kind)[0] for name, kind in fields_of(section).items()}
    return [name for name, kind in kinds.items() if {kind, *get_args(kind)} & {int, float}]


NUMBERS = [(section, key) for section in SECTIONS for key in _numbers(fields_of(Config)[section])]


def _with(section: str, key: str, value: Any) -> Config:
    config = Config()
    old = getattr(getattr(config, section), key)
    new = (value,) if isinstance(old, tuple) else value
    return replace(config, **{section: replace(getattr(config, section), **{key: new})})


def test_the_defaults_are_in_range() -> None:
    assert range_mistakes(Config()) == []


def test_every_number_has_a_range_and_every_range_a_number() -> None:
    given = {(cls, key) for cls, ranges in RANGES.items() for key in ranges}
    entries = [entry for entry in map(named_entry, fields_of(Config).values()) if entry]
    named = {(entry, key) for entry in entries for key in _numbers(entry)}
    assert {(MethodConfig, "margins"), (ReportConfig, "pairs_per_fold")} <= named
    assert given == {(fields_of(Config)[section], key) for section, key in NUMBERS} | named


@pytest.mark.parametrize(("section", "key"), NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_every_number_is_finite(section: str, key: str, value: float) -> None:
    (line,) = range_mistakes(_with(section, key, value))
    assert line.startswith(f"{section}.{key} must be ")
    assert line.endswith(f", got {value}: write a finite number")


@pytest.mark.parametrize(
    ("section", "key", "value", "line"),
    [
        ("search", "members", 0, "search.members must be at least 1, got 0: raise it"),
        ("search", "round_epochs", 0.0, "search.round_epochs must be above 0, got 0.0: raise it"),
        ("search", "beta1", 1.0, "search.beta1 must be at least 0 and below 1, got 1.0: lower it"),
        ("search", "seed", -1, "search.seed must be from 0 to 2**63 - 1, got -1: raise it"),
        ("data", "validation_share", 1.0,
         "data.validation_share must be above 0 and below 1, got 1.0: lower it"),
        ("data", "validation_share", 0.0,
         "data.validation_share must be above 0 and below 1, got 0.0: raise it"),
        ("data", "flip_probability", 1.5,
         "data.flip_probability must be from 0 to 1, got 1.5: lower it"),
        ("optimizer", "momentum", 1.0,
         "optimizer.momentum must be at least 0 and below 1, got 1.0: lower it"),
        ("optimizer", "milestones_epochs", 0.0,
         "optimizer.milestones_epochs must be above 0, got 0.0: raise it"),
        ("loss", "focal_gamma", -0.5,
         "loss.focal_gamma must be from 0 to 10, got -0.5: raise it"),
        ("search", "sigma", 0.0, "search.sigma must be above 0, got 0.0: raise it"),
        ("loss", "scale", 2000.0, "loss.scale must be from 1 to 1000, got 2000.0: lower it"),
        ("storage", "keep_last", -1, "storage.keep_last must be at least 0, got -1: raise it"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_one_line(section: str, key: str, value: Any, line: str) -> None:
    assert range_mistakes(_with(section, key, value)) == [line]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("data", "flip_probability", 0.0),
        ("data", "flip_probability", 1.0),
        ("optimizer", "momentum", 0.0),
        ("optimizer", "clip_norm", 0.0),
        ("search", "start", -3.0),
        ("loss", "margin", -0.5),
        ("loss", "focal_gamma", 0.0),
        ("search", "seed", 2**63 - 1),
        ("worker", "gpus", 0.5),
    ],
)
def test_the_ends_of_a_range_belong_to_it_unless_said(section: str, key: str, value: Any) -> None:
    assert range_mistakes(_with(section, key, value)) == []


def test_what_a_population_inherits_is_judged_once() -> None:
    search = SearchConfig(rounds=0)
    own = PopulationConfig(search=replace(search, sigma=(0.1, -1.0)))
    config = Config(search=search, populations={"a": PopulationConfig(search=search), "b": own})
    assert range_mistakes(config) == [
        "search.rounds must be at least 1, got 0: raise it",
        "populations.b.search.sigma must be above 0, got -1.0: raise it",
    ]


def test_a_method_s_own_numbers_are_judged_under_its_name() -> None:
    loss = LossConfig(scale=0.5)
    method = MethodConfig(loss=replace(loss, name="am_softmax"), margins=(0.1, math.inf))
    assert range_mistakes(Config(loss=loss, methods={"am": method})) == [
        "loss.scale must be from 1 to 1000, got 0.5: raise it",
        "methods.am.margins must be finite, got inf: write a finite number",
    ]
