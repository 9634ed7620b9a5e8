from __future__ import annotations

from typing import Any

import pytest

from lfs_ray.config.build import build_config
from lfs_ray.config.check import check

GLOBAL = {"name": "global"}


def _check(**table: Any) -> list[str]:
    config, mistakes = build_config(table, place="x.toml")
    assert mistakes == []
    return check(config)


def test_the_defaults_can_be_used() -> None:
    assert _check() == []


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (
            {"data": {"validation_pairs": "p.tsv"}},
            "data.validation_images must be given with data.validation_pairs, got nothing: "
            "set both or neither",
        ),
        (
            {"data": {"validation_images": "faces"}},
            "data.validation_pairs must be given with data.validation_images, got nothing: "
            "set both or neither",
        ),
        (
            {"data": {"train": ["a", "b"], "lists": ["c"]}},
            "data.lists must be empty or as long as data.train, got 1 lists for 2 data sets: "
            "name one list for each, or none",
        ),
        (
            {"report": {"lfw": {"pairs": "p"}}},
            "report.lfw.images must be given, got nothing: set it, or remove the report set",
        ),
        (
            {"model": {"input_size_px": 100}},
            "model.input_size_px must be a multiple of 16, got 100: take 96 or 112",
        ),
        (
            {"optimizer": {"milestones_epochs": [2, 1]}},
            "optimizer.milestones_epochs must be ascending, got [2.0, 1.0]: sort them, each once",
        ),
        (
            {"optimizer": {"milestones_epochs": [1, 1]}},
            "optimizer.milestones_epochs must be ascending, got [1.0, 1.0]: sort them, each once",
        ),
        (
            {"optimizer": {"schedule": "milestones"}},
            "optimizer.milestones_epochs must not be empty for schedule milestones, got []: "
            "name the epochs, or use schedule constant",
        ),
        (
            {"optimizer": {"decay_epochs": 1, "warmup_epochs": 1}},
            "optimizer.decay_epochs must be above optimizer.warmup_epochs, got 1.0 and 1.0: "
            "decay later, or warm up more briefly",
        ),
        (
            {"worker": {"heartbeat_s": 30}},
            "worker.heartbeat_s must be below half of worker.lease_timeout_s, got 30.0 and 60.0: "
            "lower the first or raise the second",
        ),
        (
            {"worker": {"loader_processes": 2}, "data": {"in_memory": True}},
            "worker.loader_processes must be 0 with data.in_memory, where a worker keeps what it "
            "decoded, got 2: leave one of them out",
        ),
        (
            {"worker": {"loader_processes": -1}},
            "worker.loader_processes must be at least 0, got -1: raise it",
        ),
        (
            {"worker": {"gpus": 1.5}},
            "worker.gpus must be whole above 1, got 1.5: "
            "share one GPU by a fraction below 1, or take whole ones",
        ),
        (
            {"run": {"name": "a/b"}},
            "run.name must be one folder's name, got 'a/b': put the folders into run.dir",
        ),
        (
            {"run": {"name": ".."}},
            "run.name must be one folder's name, got '..': put the folders into run.dir",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(table: dict[str, Any], line: str) -> None:
    assert _check(**table) == [line]


@pytest.mark.parametrize(
    "table",
    [
        {"optimizer": {"schedule": "milestones", "milestones_epochs": [1, 2]}},
        {"worker": {"gpus": 2, "heartbeat_s": 29.9}},
        {"data": {"train": ["a"], "lists": ["b"]}},
        {"data": {"validation_pairs": "p", "validation_images": "i"}},
        {"report": {"lfw": {"pairs": "p", "images": "i"}}},
    ],
)
def test_what_fits_is_not_refused(table: dict[str, Any]) -> None:
    assert _check(**table) == []


def test_a_number_out_of_range_is_not_judged_twice() -> None:
    assert _check(search={"members": 0}) == ["search.members must be at least 1, got 0: raise it"]


def test_several_mistakes_come_at_once() -> None:
    lines = _check(search={"members": 1, "rounds": 0}, run={"name": "a/b"}, worker={"gpus": 2.5})
    assert [line.split(" must")[0] for line in lines] == [
        "search.rounds",
        "worker.gpus",
        "run.name",
    ]
