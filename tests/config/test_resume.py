from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lfs_ray.config.build import build_config
from lfs_ray.config.keys import key_types
from lfs_ray.config.resolve import resolve
from lfs_ray.config.resume import refused_changes
from lfs_ray.config.sections import Config
from lfs_ray.config.values import optional_of

ADVICE = "restore it, or start a new run"
CONSTANT = {"optimizer": {"schedule": "constant"}}
FREE_WORKER_KEYS = {
    "executor", "count", "cpus", "gpus", "loader_threads", "loader_processes", "ray_address",
    "heartbeat_s", "lease_timeout_s", "backup_trials",
}  # fmt: skip
OTHER = {int: 10**6, float: 0.123, bool: None, str: "other"}


def _resolved(**table: Any) -> Config:
    config, mistakes = build_config(table, place="x.toml")
    assert mistakes == []
    return resolve(config, name="x")


def _changed(config: Config, path: str) -> Config:
    """Return `config` with another value at `section.key`."""
    section, key = path.split(".")
    old = getattr(getattr(config, section), key)
    kind = optional_of(key_types()[path])[0]
    if isinstance(old, bool):
        new: Any = not old
    elif kind in OTHER:
        new = OTHER[kind]
    else:
        new = (0.5,) if isinstance(old, tuple) else "another"
    return replace(config, **{section: replace(getattr(config, section), **{key: new})})


SHARED = [
    path
    for path in key_types()
    if path.split(".")[0] not in ("populations", "methods", "report", "search", "loss")
]


def _is_free(path: str) -> bool:
    section, key = path.split(".")
    return (
        section in ("storage", "logging", "compare")
        or path in ("run.dir", "run.name", "data.in_memory")
        or (section == "worker" and key in FREE_WORKER_KEYS)
    )


@pytest.mark.parametrize("path", SHARED)
def test_each_key_is_free_or_refused_by_name(path: str) -> None:
    old = _resolved()
    refused = refused_changes(old, _changed(old, path))
    if _is_free(path):
        assert refused == []
    else:
        (line,) = refused
        assert line.startswith(f"a resume must keep {path}, got ")
        assert line.endswith(f": {ADVICE}")


def test_no_change_is_no_refusal() -> None:
    assert refused_changes(_resolved(), _resolved()) == []


def test_a_line_shows_both_values() -> None:
    assert refused_changes(_resolved(), _resolved(model={"width": 32})) == [
        f"a resume must keep model.width, got 32 instead of 16: {ADVICE}"
    ]


def test_a_population_s_key_is_named_once_with_its_population() -> None:
    old, new = _resolved(search={"sigma": 0.1}), _resolved(search={"sigma": 0.2})
    assert refused_changes(old, new) == [
        "a resume must keep search.sigma, got 0.2 instead of 0.1 in population main: " + ADVICE
    ]


def test_the_key_of_a_template_that_no_population_inherits_is_free() -> None:
    own = {"a": {"search": {"sigma": 0.3}}}
    old = _resolved(search={"sigma": 0.1}, populations=own)
    assert refused_changes(old, _resolved(search={"sigma": 0.2}, populations=own)) == []


def test_rounds_may_grow() -> None:
    old = _resolved(search={"rounds": 5}, **CONSTANT)
    assert refused_changes(old, _resolved(search={"rounds": 6}, **CONSTANT)) == []


def test_rounds_must_not_shrink() -> None:
    old = _resolved(search={"rounds": 5}, **CONSTANT)
    assert refused_changes(old, _resolved(search={"rounds": 4}, **CONSTANT)) == [
        "a resume must not lower search.rounds, got 4 instead of 5 in population main: " + ADVICE
    ]


def test_rounds_must_not_grow_where_the_learning_rate_depends_on_them() -> None:
    (line,) = refused_changes(_resolved(), _resolved(search={"rounds": 20}))
    assert line == (
        "a resume must keep search.rounds, on which the learning rate depends (schedule "
        "polynomial without optimizer.decay_epochs), got 20 instead of 12 in population main: "
        + ADVICE
    )


def test_rounds_may_grow_under_polynomial_with_its_own_length() -> None:
    decay = {"optimizer": {"schedule": "polynomial", "decay_epochs": 9.0}}
    old, new = _resolved(search={"rounds": 5}, **decay), _resolved(search={"rounds": 6}, **decay)
    assert refused_changes(old, new) == []


def test_populations_must_stay() -> None:
    old, new = _resolved(populations={"a": {}, "b": {}}), _resolved(populations={"a": {}, "c": {}})
    assert refused_changes(old, new) == [
        f"a resume must keep the populations, got none of that name, b: {ADVICE}",
        f"a resume must keep the populations, got one more, c: {ADVICE}",
    ]


def test_report_sets_may_change() -> None:
    new = _resolved(report={"lfw": {"images": "i", "pairs": "p"}})
    assert refused_changes(_resolved(), new) == []


def test_several_refusals_come_at_once() -> None:
    new = _resolved(run={"seed": 1}, search={"rounds": 1}, loss={"scale": 64.0})
    lines = refused_changes(_resolved(), new)
    assert [line.split(",")[0] for line in lines] == [
        "a resume must keep run.seed",
        "a resume must not lower search.rounds",
        "a resume must keep search.seed",
        "a resume must keep loss.scale",
    ]
