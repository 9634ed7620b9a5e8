"""Whether the keys of a configuration fit together; every mistake at once, one line each.

Ranges of single numbers stand in `ranges`; what only data, model or machine can tell is checked
where they are opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import PurePath

from lfs_ray.config.ranges import range_mistakes
from lfs_ray.config.resolve import populations_of
from lfs_ray.config.sections import (
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PopulationConfig,
    ReportConfig,
    SearchConfig,
    WorkerConfig,
)
from lfs_ray.config.values import show

SEARCHED_LOSSES = ("global", "local")
LEAST_MEMBERS = {"fixed": 1, "random": 1, "selection_only": 2, "reinforce": 2}
LOSS_OF_SPACE = {"released-global": "global", "released-local": "local"}
FOLDED_SPACES = ("raw", "released-global", "released-local")
MARGIN_BELOW = {"am_softmax": (2.0, "2"), "arcface": (math.pi, "pi")}
SIZE_STEP_PX = 16


def check(config: Config) -> list[str]:
    """Return what is wrong with a well-formed configuration; empty where it can be used."""
    mistakes = range_mistakes(config)
    for section_mistakes in (
        _data(config.data),
        _model(config.model),
        _optimizer(config.optimizer),
        _worker(config.worker),
        _run_name(config.run.name),
    ):
        mistakes += section_mistakes
    for name, report in config.report.items():
        mistakes += _report(report, f"report.{name}")
    for name, population in populations_of(config).items():
        place = f" in population {name}" if config.populations else ""
        mistakes += _population(population, place)
    return mistakes


def _run_name(name: str) -> Iterator[str]:
    if name and (name in (".", "..") or PurePath(name).name != name):
        yield f"run.name must be one folder's name, got {show(name)}: put the folders into run.dir"


def _data(data: DataConfig) -> Iterator[str]:
    if data.lists and len(data.lists) != len(data.train):
        yield (
            f"data.lists must be empty or as long as data.train, got {len(data.lists)} lists for "
            f"{len(data.train)} data sets: name one list for each, or none"
        )
    yield from _both(
        ("data.validation_images", data.validation_images),
        ("data.validation_pairs", data.validation_pairs),
    )


def _report(report: ReportConfig, where: str) -> Iterator[str]:
    for key, value in (("images", report.images), ("pairs", report.pairs)):
        if not value:
            yield f"{where}.{key} must be given, got nothing: set it, or remove the report set"


def _both(first: tuple[str, str], second: tuple[str, str]) -> Iterator[str]:
    for (key, value), (other, other_value) in ((first, second), (second, first)):
        if value and not other_value:
            yield f"{other} must be given with {key}, got nothing: set both or neither"


def _model(model: ModelConfig) -> Iterator[str]:
    if model.input_size_px % SIZE_STEP_PX:
        yield (
            f"model.input_size_px must be a multiple of {SIZE_STEP_PX}, got "
            f"{model.input_size_px}: take {model.input_size_px // SIZE_STEP_PX * SIZE_STEP_PX} "
            f"or {-(-model.input_size_px // SIZE_STEP_PX) * SIZE_STEP_PX}"
        )


def _optimizer(optimizer: OptimizerConfig) -> Iterator[str]:
    milestones = optimizer.milestones_epochs
    if any(later <= earlier for earlier, later in pairwise(milestones)):
        yield (
            "optimizer.milestones_epochs must be ascending, got "
            f"{show(milestones)}: sort them, each once"
        )
    if optimizer.schedule == "milestones" and not milestones:
        yield (
            "optimizer.milestones_epochs must not be empty for schedule milestones, got []: "
            "name the epochs, or use schedule constant"
        )
    decay_epochs = optimizer.decay_epochs
    if decay_epochs is not None and decay_epochs <= optimizer.warmup_epochs:
        yield (
            f"optimizer.decay_epochs must be above optimizer.warmup_epochs, got {decay_epochs} "
            f"and {optimizer.warmup_epochs}: decay later, or warm up more briefly"
        )


def _worker(worker: WorkerConfig) -> Iterator[str]:
    if not worker.heartbeat_s < worker.lease_timeout_s / 2:
        yield (
            "worker.heartbeat_s must be below half of worker.lease_timeout_s, got "
            f"{worker.heartbeat_s} and {worker.lease_timeout_s}: "
            "lower the first or raise the second"
        )
    if worker.gpus is not None and worker.gpus > 1 and not worker.gpus.is_integer():
        yield (
            f"worker.gpus must be whole above 1, got {worker.gpus}: "
            "share one GPU by a fraction below 1, or take whole ones"
        )


def _population(population: PopulationConfig, place: str) -> Iterator[str]:
    for rule in (_members, _loss_and_policy, _loss_and_space, _thetas):
        yield from rule(population.search, population.loss, place)
    yield from _margin(population.loss, place)


Rule = Callable[[SearchConfig, LossConfig, str], Iterator[str]]


def _members(search: SearchConfig, loss: LossConfig, place: str) -> Iterator[str]:
    least = LEAST_MEMBERS[search.policy]
    if search.members < least:
        yield (
            f"search.members must be at least {least} for policy {search.policy}, got "
            f"{search.members}{place}: raise it, or use policy random"
        )
    if search.policy == "random" and search.members != 1:
        yield (
            f"search.members must be 1 for policy random, got {search.members}{place}: "
            "lower it, or use policy selection_only"
        )


def _loss_and_policy(search: SearchConfig, loss: LossConfig, place: str) -> Iterator[str]:
    if loss.name not in SEARCHED_LOSSES and search.policy != "fixed":
        yield (
            f"search.policy must be fixed for loss {loss.name}, got {search.policy}{place}: "
            f"set it to fixed, or search loss {' or '.join(SEARCHED_LOSSES)}"
        )


def _loss_and_space(search: SearchConfig, loss: LossConfig, place: str) -> Iterator[str]:
    needed = LOSS_OF_SPACE.get(search.space)
    if needed is not None and loss.name in SEARCHED_LOSSES and loss.name != needed:
        yield (
            f"loss.name must be {needed} for space {search.space}, got {loss.name}{place}: "
            "change the loss or the space"
        )


def _thetas(search: SearchConfig, loss: LossConfig, place: str) -> Iterator[str]:
    """Judge the numbers in the space's unit; space log judges its own bounds."""
    theta = search.warmup_theta
    yield from _within_margins("search.start", search.start, search, place)
    yield from _within_margins("search.warmup_theta", theta, search, place)
    if theta is not None and theta > 0 and search.space in FOLDED_SPACES:
        yield (
            f"search.warmup_theta must be at most 0 in space {search.space}, got "
            f"{theta}{place}: write it with a minus sign"
        )


def _within_margins(
    key: str, theta: float | None, search: SearchConfig, place: str
) -> Iterator[str]:
    if theta is not None and search.space == "margin" and not 0 <= theta <= search.margin_max:
        yield (
            f"{key} must be from 0 to search.margin_max ({search.margin_max}) in space margin, "
            f"got {theta}{place}: move it into the range"
        )


def _margin(loss: LossConfig, place: str) -> Iterator[str]:
    below, text = MARGIN_BELOW.get(loss.name, (math.inf, ""))
    if loss.margin >= below:
        yield (
            f"loss.margin must be below {text} for loss {loss.name}, got {loss.margin}{place}: "
            "lower it (usual are 0.1 to 0.5)"
        )
