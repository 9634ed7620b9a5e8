"""A resolved configuration and the size of its data -> populations, as plain numbers.

Used by the policy actor (what to draw), the workers (what a lease means) and `--dry-run` (the
plan).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lfs_ray.config.sections import Config, LossConfig, PopulationConfig, SearchConfig
from lfs_ray.losses.usual_margins import AM_SOFTMAX_MARGIN
from lfs_ray.search.policy import build_policy
from lfs_ray.search.population import Population
from lfs_ray.search.searcher import NoSpace, Plan, Searcher, no_policy
from lfs_ray.search.space import build_space
from lfs_ray.search.state import PolicySettings

SIZES = {"global": 1, "local": 10}
"""Numbers in theta of the searched losses."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of a population in images."""

    epoch_images: int
    round_images: int
    total_images: int


def lengths(config: Config, population: PopulationConfig, epoch_images: int) -> Lengths:
    """Lengths of a population; a round is a whole number of batches, at least one."""
    batch = config.optimizer.batch_size
    batches = max(1, round(population.search.round_epochs * epoch_images / batch))
    round_images = batches * batch
    return Lengths(epoch_images, round_images, round_images * population.search.rounds)


def build_populations(config: Config, epoch_images: int, *, boot: str) -> dict[str, Population]:
    """Populations of a resolved configuration, at their first round.

    Args:
        config: resolved: its populations are explicit and have seeds.
        epoch_images: images of the training set.
        boot: unique prefix of the lease tokens.
    """
    return {
        name: Population(*plan_population(config, name, epoch_images), boot)
        for name in config.populations
    }


def plan_population(config: Config, name: str, epoch_images: int) -> tuple[Plan, Searcher]:
    """Plan and searcher of one population of a resolved configuration."""
    population = config.populations[name]
    search = population.search
    assert search.seed is not None
    searcher = build_searcher(search, population.loss)
    round_epochs = lengths(config, population, epoch_images).round_images / epoch_images
    spread = any(std > 0 for std in searcher.initial_state().std)
    plan = Plan(
        name=name,
        seed=search.seed,
        members=search.members,
        rounds=search.rounds,
        round_epochs=round_epochs,
        warmup_rounds=math.ceil(search.warmup_epochs / round_epochs - 1e-9),
        # Where all members train under one theta, equal batches would make them equal.
        shared_batches=spread or search.members == 1,
        lease_timeout_s=config.worker.lease_timeout_s,
    )
    return plan, searcher


def build_searcher(search: SearchConfig, loss: LossConfig) -> Searcher:
    """Space, policy and shaping of a population.

    Raises:
        ConfigError: the space doesn't take the start, sigma or warm-up theta.
    """
    if loss.name not in SIZES:
        space = NoSpace(_fixed_margin(loss))
        return Searcher(method=search.policy, space=space, policy=no_policy())
    size = SIZES[loss.name]
    drawn = build_space(search.space, size, loss.scale, search.margin_max)
    settings = PolicySettings(
        start=search.start,
        sigma=search.sigma,
        learning_rate=search.learning_rate,
        betas=(search.beta1, search.beta2),
    )
    start = drawn.default_start if search.start is None else search.start
    warmup = start if search.warmup_theta is None else search.warmup_theta
    scripted = search.policy == "schedule"
    return Searcher(
        method=search.policy,
        space=drawn,
        policy=build_policy("fixed" if scripted else search.policy, drawn, settings),
        script=tuple(_batched(search.script, size)) if scripted else (),
        shaping=search.shaping,
        advantage_floor=search.advantage_floor,
        warmup_theta=(warmup,) * size,
    )


def _fixed_margin(loss: LossConfig) -> float:
    """Margin of a hand-made loss, in cosine; NaN where it is none (arcface: an angle)."""
    if loss.name == "am_softmax":
        return AM_SOFTMAX_MARGIN if loss.margin is None else loss.margin
    return 0.0 if loss.name == "normface" else math.nan


def _batched(numbers: Sequence[float], size: int) -> list[tuple[float, ...]]:
    """The numbers in tuples of `size`."""
    return [tuple(numbers[i : i + size]) for i in range(0, len(numbers), size)]
