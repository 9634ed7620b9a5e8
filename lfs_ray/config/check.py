"""Whether the keys of a configuration fit together; every mistake at once, one line each.

Ranges of single numbers stand in `ranges`; how the loss of a population fits its search is judged
in execution/fit.py, and what only data, model or machine can tell where they are opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePath

from lfs_ray.config.addresses import credential_mistakes
from lfs_ray.config.machine import WorkerConfig
from lfs_ray.config.ranges import range_mistakes
from lfs_ray.config.sections import Config, DataConfig, ModelConfig, OptimizerConfig, ReportConfig
from lfs_ray.config.values import show

SIZE_STEP_PX = 16


def check(config: Config) -> list[str]:
    """Return what is wrong with a well-formed configuration; empty where it can be used."""
    # Told alone: other mistakes repeat the values that they are about.
    if mistakes := list(credential_mistakes(config)):
        return mistakes
    mistakes = range_mistakes(config)
    for section_mistakes in (
        _data(config.data),
        _model(config.model),
        _optimizer(config.optimizer),
        _worker(config.worker),
        _loader(config),
        _run_name(config.run.name),
    ):
        mistakes += section_mistakes
    for name, report in config.report.items():
        mistakes += _report(report, f"report.{name}")
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
    if data.validation_pairs and data.validation_split == "images":
        yield (
            "data.validation_split must be identities where data.validation_pairs is given, got "
            "images: leave one of them out"
        )
    yield from _both(
        ("data.validation_images", data.validation_images),
        ("data.validation_pairs", data.validation_pairs),
    )


def _loader(config: Config) -> Iterator[str]:
    processes = config.worker.loader_processes
    if processes > 0 and config.data.in_memory:
        yield (
            "worker.loader_processes must be 0 with data.in_memory, where a worker keeps what it "
            f"decoded, got {processes}: leave one of them out"
        )


def _report(report: ReportConfig, where: str) -> Iterator[str]:
    if not report.images:
        yield f"{where}.images must be given, got nothing: set it, or remove the report set"


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
