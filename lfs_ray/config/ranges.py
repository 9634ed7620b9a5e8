"""The range of every number of the configuration, one line a key."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from lfs_ray.config.inherit import base_of, base_of_method
from lfs_ray.config.keys import join
from lfs_ray.config.machine import StorageConfig, WorkerConfig
from lfs_ray.config.sections import (
    CompareConfig,
    Config,
    DataConfig,
    LossConfig,
    MethodConfig,
    ModelConfig,
    OptimizerConfig,
    ReportConfig,
    RewardConfig,
    RunConfig,
    SearchConfig,
)
from lfs_ray.config.values import show


@dataclass(frozen=True, slots=True)
class Range:
    """Finite numbers from `low` to `high`, either end left out where it is `open`."""

    text: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def advice(self, value: float) -> str | None:
        """Return None where `value` lies in the range, else how to bring it there."""
        if not math.isfinite(value):
            return "write a finite number"
        if value < self.low or (self.open_low and value == self.low):
            return "raise it"
        if value > self.high or (self.open_high and value == self.high):
            return "lower it"
        return None


FINITE = Range("finite")
POSITIVE = Range("above 0", low=0, open_low=True)
NOT_NEGATIVE = Range("at least 0", low=0)
SHARE = Range("from 0 to 1", low=0, high=1)
POSITIVE_SHARE = Range("above 0 and at most 1", low=0, high=1, open_low=True)
INNER_SHARE = Range("above 0 and below 1", low=0, high=1, open_low=True, open_high=True)
DECAY = Range("at least 0 and below 1", low=0, high=1, open_high=True)
SEED = Range("from 0 to 2**63 - 1", low=0, high=2**63 - 1)


def at_least(low: int) -> Range:
    """Return the range of whole numbers from `low` upwards."""
    return Range(f"at least {low}", low=low)


RANGES: dict[type, dict[str, Range]] = {
    RunConfig: {"seed": SEED},
    DataConfig: {
        "validation_share": INNER_SHARE,
        "validation_pairs_per_fold": at_least(1),
        "flip_probability": SHARE,
        "crop_probability": SHARE,
        "crop_scale_min": POSITIVE_SHARE,
        "low_resolution_probability": SHARE,
        "low_resolution_min": POSITIVE_SHARE,
        "colour_jitter_probability": SHARE,
        "colour_jitter_strength": SHARE,
        "grey_probability": SHARE,
        "max_bad_images": NOT_NEGATIVE,
        "synthetic_identities": at_least(4),
        "synthetic_images": at_least(2),
        "synthetic_seed": SEED,
    },
    ModelConfig: {
        "width": at_least(1),
        "embedding_dim": at_least(1),
        "input_size_px": at_least(32),
        "pixel_mean": FINITE,
        "pixel_scale": POSITIVE,
        "classifier_chunk": at_least(1),
    },
    LossConfig: {
        "scale": Range("from 1 to 1000", low=1, high=1000),
        "margin": FINITE,
        "focal_gamma": Range("from 0 to 10", low=0, high=10),
    },
    SearchConfig: {
        "members": at_least(1),
        "rounds": at_least(1),
        "round_epochs": POSITIVE,
        "start": FINITE,
        "sigma": POSITIVE,
        "learning_rate": POSITIVE,
        "beta1": DECAY,
        "beta2": DECAY,
        "advantage_floor": POSITIVE,
        "margin_max": Range("from 0.01 to 2", low=0.01, high=2),
        "warmup_epochs": NOT_NEGATIVE,
        "warmup_theta": FINITE,
        "script": FINITE,
        "seed": SEED,
    },
    OptimizerConfig: {
        "batch_size": at_least(2),  # batch normalisation needs two images
        "learning_rate": POSITIVE,
        "momentum": DECAY,
        "weight_decay": NOT_NEGATIVE,
        "warmup_epochs": NOT_NEGATIVE,
        "milestones_epochs": POSITIVE,
        "milestone_factor": POSITIVE_SHARE,
        "polynomial_power": POSITIVE,
        "decay_epochs": POSITIVE,
        "clip_norm": NOT_NEGATIVE,
        "max_nonfinite_steps": NOT_NEGATIVE,
    },
    RewardConfig: {"batch_size": at_least(1), "bootstrap_samples": at_least(2)},
    WorkerConfig: {
        "count": at_least(1),
        "cpus": POSITIVE,
        "gpus": NOT_NEGATIVE,
        "loader_threads": at_least(1),
        "loader_processes": at_least(0),
        "heartbeat_s": POSITIVE,
        "lease_timeout_s": POSITIVE,
        "threads": at_least(1),
    },
    CompareConfig: {
        "seeds": SEED,
        "lineage_epochs": POSITIVE,
        "budget_epochs": POSITIVE,
        "bootstrap_samples": at_least(100),
    },
    MethodConfig: {"margins": FINITE},
    ReportConfig: {"pairs_per_fold": at_least(1)},
    StorageConfig: {
        "keep_last": NOT_NEGATIVE,
        "compact_rounds": NOT_NEGATIVE,
        "retry_s": NOT_NEGATIVE,
    },
}


def range_mistakes(config: Config) -> list[str]:
    """Return one line for every number outside its range.

    What a population inherits is judged once, where it is written.
    """
    mistakes = list(_mistakes(config, None, ""))
    for name, population in config.populations.items():
        base = base_of(config.search, config.loss, population.loss.name)
        mistakes += _mistakes(population, base, f"populations.{name}")
    for name, method in config.methods.items():
        start = base_of_method(config.search, config.loss, method.loss.name)
        mistakes += _mistakes(method, start, f"methods.{name}")
    for name, report in config.report.items():
        mistakes += _mistakes(report, None, f"report.{name}")
    return mistakes


def _mistakes(section: Any, base: Any, where: str) -> Iterator[str]:
    """Judge the numbers of a section and of those inside it, except what equals `base`."""
    for item in fields(section):
        value, path = getattr(section, item.name), join(where, item.name)
        inherited = getattr(base, item.name, None)
        if is_dataclass(value):
            yield from _mistakes(value, inherited, path)
        elif item.name in RANGES.get(type(section), {}) and (base is None or value != inherited):
            yield from _judge(RANGES[type(section)][item.name], value, path)


def _judge(allowed: Range, value: Any, path: str) -> Iterator[str]:
    for number in value if isinstance(value, tuple) else (value,):
        advice = None if number is None else allowed.advice(number)
        if advice is not None:
            yield f"{path} must be {allowed.text}, got {show(number)}: {advice}"
