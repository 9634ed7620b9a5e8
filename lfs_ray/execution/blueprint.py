"""A resolved configuration and the size of its data -> populations, as plain numbers.

Used by the policy actor (what to draw), the workers (what a lease means) and `--dry-run` (the
plan).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lfs_ray.config.compat import EPOCHS_BEFORE_COPY
from lfs_ray.config.sections import Config, LossConfig, PopulationConfig, SearchConfig
from lfs_ray.search.policy import build_policy
from lfs_ray.search.population import Population
from lfs_ray.search.released import SWITCHES
from lfs_ray.search.searcher import NoSpace, Plan, Searcher, no_policy
from lfs_ray.search.space import BINS, build_space, spaces_for
from lfs_ray.search.state import PolicySettings

FIXED_MARGINS = {"am_softmax": 0.35, "normface": 0.0}
"""Margins of hand-made losses, where none is given, that are equivalent margins in cosine."""
DEFAULT_SCALE = 32.0
"""s of every searched loss that names none."""
_BINS = "bins="


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
    # Epochs of the released code are whole rounds, even where a round loses part of a batch.
    nominal = max(round_epochs, search.round_epochs)
    warmup = nominal if "fixed_first_epochs" in search.compat else round_epochs
    independent = "independent_init" in search.compat
    plan = Plan(
        name=name,
        seed=search.seed,
        members=search.members,
        rounds=search.rounds,
        round_epochs=round_epochs,
        warmup_rounds=_rounds_in(search.warmup_epochs, warmup),
        # Where all members train under one theta, equal batches would make them equal.
        shared_batches=spread or search.members == 1,
        own_weights_rounds=_rounds_in(EPOCHS_BEFORE_COPY, nominal) if independent else 0,
        own_momentum="keep_momentum" in search.compat,
        lease_timeout_s=config.worker.lease_timeout_s,
        backup_trials=config.worker.backup_trials,
    )
    return plan, searcher


def _rounds_in(epochs: float, round_epochs: float) -> int:
    """Rounds that the first epochs fill."""
    return math.ceil(epochs / round_epochs - 1e-9)


def is_searched(loss: LossConfig) -> bool:
    """Whether the loss has a theta."""
    return bool(spaces_for(loss.name))


def build_searcher(search: SearchConfig, loss: LossConfig) -> Searcher:
    """Space, policy and shaping of a population.

    Raises:
        ConfigError: the space doesn't take the start, sigma or warm-up theta.
    """
    spaces = spaces_for(loss.name)
    if not spaces:
        space = NoSpace(_fixed_margin(loss))
        return Searcher(method=search.policy, space=space, policy=no_policy())
    drawn = build_space(
        search.space or spaces[0],
        scale=DEFAULT_SCALE if loss.scale is None else loss.scale,
        upper=search.margin_max,
        loss=loss.name,
        bins=_bins(loss),
    )
    settings = PolicySettings(
        start=_one(search.start),
        sigma=_one(search.sigma),
        learning_rate=search.learning_rate,
        betas=(search.beta1, search.beta2),
        compat=frozenset(search.compat) & frozenset(SWITCHES),
    )
    start = drawn.per_component(search.start) if search.start else drawn.default_start
    warmup = drawn.per_component(search.warmup_theta) if search.warmup_theta else start
    scripted = search.policy == "schedule"
    return Searcher(
        method=search.policy,
        space=drawn,
        policy=build_policy("fixed" if scripted else search.policy, drawn, settings),
        script=tuple(_batched(search.script, drawn.size)) if scripted else (),
        shaping=search.shaping,
        advantage_floor=search.advantage_floor,
        warmup_theta=warmup,
    )


def _fixed_margin(loss: LossConfig) -> float:
    """Margin of a hand-made loss, in cosine; NaN where it is none (arcface: an angle)."""
    if loss.name not in FIXED_MARGINS:
        return math.nan
    return FIXED_MARGINS[loss.name] if loss.margin is None else loss.margin


def _bins(loss: LossConfig) -> int:
    """Bins of a piecewise linear loss, from its option of that name."""
    given = [text.removeprefix(_BINS) for text in loss.options if text.startswith(_BINS)]
    return int(float(given[-1])) if given else BINS


def _one(numbers: tuple[float, ...]) -> float | tuple[float, ...] | None:
    """None for no numbers, one number alone as itself."""
    return (numbers[0] if len(numbers) == 1 else numbers) if numbers else None


def _batched(numbers: Sequence[float], size: int) -> list[tuple[float, ...]]:
    """The numbers in tuples of `size`."""
    return [tuple(numbers[i : i + size]) for i in range(0, len(numbers), size)]
