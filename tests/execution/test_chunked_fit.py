"""A chunked classifier under a loss that needs all classes: one line, before any start."""

from __future__ import annotations

from typing import Any

import pytest

from lfs_ray.config.build import build_config
from lfs_ray.config.ranges import range_mistakes
from lfs_ray.config.sections import LossConfig
from lfs_ray.execution.fit import population_mistakes
from lfs_ray.losses.catalogue import LOSSES
from lfs_ray.training.loss_choice import goes_by_chunks

ALL_AT_ONCE = {
    "softmax",
    "l2_softmax",
    "v_softmax",
    "l_softmax",
    "a_softmax",
    "unitsface",
    "taylor",
}


def _mistakes(**table: Any) -> list[str]:
    config, wrong = build_config(table, place="the test")
    assert not wrong
    return range_mistakes(config) + population_mistakes(config)


def _table(name: str, *options: str) -> dict[str, Any]:
    policy = {} if LOSSES[name].spaces else {"policy": "fixed"}
    return {"loss": {"name": name, "options": list(options)}, "search": policy}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_that_need_all_classes_are_refused_by_name(name: str) -> None:
    assert _mistakes(**_table(name)) == []
    found = _mistakes(model={"classifier": "chunked"}, **_table(name))
    refused = (
        f"model.classifier must be dense for loss {name} under its options, which needs all "
        "classes at once, got chunked: set it to dense, or take another loss"
    )
    assert found == ([refused] if name in ALL_AT_ONCE else [])


@pytest.mark.parametrize(
    ("name", "option", "allowed"),
    [
        ("v_softmax", "normalised=true", True),
        ("a_softmax", "normalised=true", True),
        ("uniface", "clamp=true", False),
        ("local", "probability_space=true", False),
        ("normface", "learn_scale=true", False),
        ("am_lfs", "bins=3", True),
    ],
)
def test_options_decide_too(name: str, option: str, allowed: bool) -> None:
    assert goes_by_chunks(LossConfig(name=name, options=(option,))) == allowed
    assert (_mistakes(model={"classifier": "chunked"}, **_table(name, option)) == []) == allowed


def test_populations_that_share_the_mistake_are_named_once() -> None:
    populations = {name: _table("softmax") for name in ("a", "b")} | {"c": _table("arcface")}
    (line,) = _mistakes(model={"classifier": "chunked"}, populations=populations)
    assert "got chunked in populations a, b: " in line


def test_a_loss_with_another_mistake_is_not_judged() -> None:
    (line,) = _mistakes(model={"classifier": "chunked"}, **_table("softmax", "bins=3"))
    assert "bins" in line


def test_a_chunk_holds_a_class() -> None:
    (line,) = _mistakes(model={"classifier": "chunked", "classifier_chunk": 0})
    assert line == "model.classifier_chunk must be at least 1, got 0: raise it"
