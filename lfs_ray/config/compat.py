"""Switches of `search.compat`: what the released code of Search-Softmax does otherwise than we do.

Between the checked configuration and the resolved one: a switch that is a setting becomes one, and
wins over what the key said; the resolved configuration shows the result. Settings of the sections
that all populations share are laid over them where a population trains (`with_section_switches`),
the rest is asked by name: policy (search/released.py), plan (execution/blueprint.py), trainer.

`released` stands for all switches that can do something in a population, and for the policy that
they are about; one that is named and can do nothing is a mistake. Table: docs/released.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lfs_ray.config.choices import CompatName
from lfs_ray.config.sections import Config, OptimizerConfig, PopulationConfig
from lfs_ray.config.values import show

PRESET = "released"
UNSEARCHED_EPOCHS = 2.0
"""First epochs of `fixed_first_epochs`."""
EPOCHS_BEFORE_COPY = 3.0
"""Epochs of `independent_init` before weights are first copied."""
_POLICY = "paper"
_VARIANTS = ("pgpe", "reinforce_adaptive")
"""Policies in whose place `released` puts the plain one."""
_DEFAULT_SCALE = 32.0
_RELEASED_LOG_FACTORS = {"global": 1.0 / 3.0, "local": 1.0 / 2.0}
"""ln of the factor on a_raw, in units of the scale."""
_BINS = 10

ChangePopulation = Callable[[PopulationConfig], PopulationConfig]
ChangeConfig = Callable[[Config], Config]


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a switch needs in order to do something."""

    key: str
    text: str
    value: Callable[[PopulationConfig, OptimizerConfig], Any]
    holds: Callable[[Any], bool]

    @classmethod
    def one_of(
        cls, key: str, names: tuple[str, ...], value: Callable[[PopulationConfig], str]
    ) -> Need:
        """A key that must have one of these values."""
        text = " or ".join(names)
        return cls(key=key, text=text, value=lambda it, _: value(it), holds=names.__contains__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """One difference."""

    needs: tuple[Need, ...] = ()
    settings: ChangePopulation | None = None
    """The same as keys of the population."""
    sections: ChangeConfig | None = None
    """The same as keys of the sections that all populations share."""

    def unmet(self, population: PopulationConfig, optimizer: OptimizerConfig) -> list[Need]:
        """What it lacks in a population."""
        return [need for need in self.needs if not need.holds(need.value(population, optimizer))]


def with_switches(population: PopulationConfig, optimizer: OptimizerConfig) -> PopulationConfig:
    """The population with its switches named one by one, and as settings where they are some.

    Doing it again changes nothing.
    """
    if PRESET in population.search.compat and population.search.policy in _VARIANTS:
        population = _in_search(policy=_POLICY)(population)
    names = tuple(
        name
        for name in _named(population.search.compat)
        if not SWITCHES[name].unmet(population, optimizer)
    )
    population = replace(population, search=replace(population.search, compat=names))
    for name in names:
        change = SWITCHES[name].settings
        population = population if change is None else change(population)
    return population


def with_section_switches(config: Config, names: Collection[str]) -> Config:
    """The configuration that a population with these switches trains under; not to be stored."""
    for name, switch in SWITCHES.items():
        if name in names and switch.sections is not None:
            config = switch.sections(config)
    return config


def switch_mistakes(population: PopulationConfig, optimizer: OptimizerConfig) -> Iterator[str]:
    """What is wrong with the switches that a population names one by one, one line each."""
    for name in population.search.compat:
        for need in SWITCHES[name].unmet(population, optimizer) if name != PRESET else ():
            found = show(need.value(population, optimizer))
            yield (
                f"{need.key} must be {need.text} for search.compat {name}, got {found}: "
                f"change it, or leave {name} out"
            )


def _named(compat: tuple[CompatName, ...]) -> tuple[CompatName, ...]:
    """The names that a list stands for, each once and in the order of SWITCHES."""
    return tuple(name for name in SWITCHES if PRESET in compat or name in compat)


# ---- switches that are settings


def _in_search(**keys: Any) -> ChangePopulation:
    return lambda it: replace(it, search=replace(it.search, **keys))


def _in_loss(**keys: Any) -> ChangePopulation:
    return lambda it: replace(it, loss=replace(it.loss, **keys))


def _released_scale(population: PopulationConfig) -> PopulationConfig:
    return _in_search(space=f"released-{population.loss.name}")(population)


def _fixed_first_epochs(population: PopulationConfig) -> PopulationConfig:
    theta = _first_theta(population)
    return _in_search(warmup_epochs=UNSEARCHED_EPOCHS, warmup_theta=theta)(population)


def _first_theta(population: PopulationConfig) -> tuple[float, ...]:
    """Theta of a_raw = -1 with the released factor; local: in the first bin, else a = 0."""
    loss, scale = population.loss, population.loss.scale
    if scale is None or not 1.0 <= scale <= 1000.0:  # out of range: said elsewhere
        scale = _DEFAULT_SCALE
    log_factor = scale * _RELEASED_LOG_FACTORS[loss.name]
    ways = {
        "raw": (-math.exp(log_factor), 0.0),
        "log": (log_factor, math.log(1e-3)),  # the space's least: softmax for all purposes
        "released-global": (-1.0, 0.0),
        "released-local": (-1.0, 0.0),
    }
    margin = math.log1p(math.exp(log_factor)) / scale
    first, other = ways.get(population.search.space, (margin, 0.0))
    return (first,) if loss.name == "global" else (first,) + (other,) * (_BINS - 1)


def _probability_space(population: PopulationConfig) -> PopulationConfig:
    key = "probability_space="
    others = [text for text in population.loss.options if not text.startswith(key)]
    return _in_loss(options=(*others, f"{key}true"))(population)


# ---- switches that are settings of what all populations share


def _early_lr_step(config: Config) -> Config:
    optimizer = config.optimizer
    early = tuple(epoch - 1.0 for epoch in optimizer.milestones_epochs)
    return replace(config, optimizer=replace(optimizer, milestones_epochs=early))


def _weight_decay(config: Config) -> Config:
    return replace(config, optimizer=replace(config.optimizer, weight_decay=1e-4))


def _lfs_pixels(config: Config) -> Config:
    model = replace(config.model, pixel_mean=127.5, pixel_scale=128.0, colour="bgr")
    return replace(config, model=model)


def _lfw_reward(config: Config) -> Config:
    return replace(config, reward=replace(config.reward, rule="lfs"))


# ---- what they need

_SCALAR = Need.one_of("loss.name", ("global", "local"), lambda it: it.loss.name)
_GLOBAL = Need.one_of("loss.name", ("global",), lambda it: it.loss.name)
_HEAD = Need.one_of(
    "loss.name", ("am_softmax", "arcface", "mv_am", "mv_arc"), lambda it: it.loss.name
)
_REINFORCE = Need.one_of("search.policy", ("reinforce", "paper"), lambda it: it.search.policy)
_NO_REPLAY = Need(
    key="search.policy",
    text="another than schedule",
    value=lambda it, _: it.search.policy,
    holds=lambda policy: policy != "schedule",
)
_SEARCHES = Need(
    key="search.policy",
    text="another than fixed or schedule",
    value=lambda it, _: it.search.policy,
    holds=lambda policy: policy not in ("fixed", "schedule"),
)
_MEMBERS = Need(
    key="search.members",
    text="at least 2",
    value=lambda it, _: it.search.members,
    holds=lambda members: members >= 2,
)
_MILESTONES = Need(
    key="optimizer.schedule",
    text="milestones",
    value=lambda _, optimizer: optimizer.schedule,
    holds=lambda schedule: schedule == "milestones",
)

SWITCHES: dict[CompatName, Switch] = {
    "selection_only": Switch(needs=(_SCALAR, _REINFORCE), settings=_in_search(start=(0.0,))),
    "unfolded_score": Switch(needs=(_SCALAR, _REINFORCE)),
    "range_reward": Switch(settings=_in_search(shaping="range")),
    "ten_component_policy": Switch(needs=(_GLOBAL, _REINFORCE)),
    "released_scale": Switch(needs=(_SCALAR, _NO_REPLAY), settings=_released_scale),
    "fixed_first_epochs": Switch(needs=(_SCALAR, _SEARCHES), settings=_fixed_first_epochs),
    "duplicate_identity_weight": Switch(needs=(_SCALAR,)),
    "probability_space_loss": Switch(needs=(_SCALAR,), settings=_probability_space),
    "early_lr_step": Switch(needs=(_MILESTONES,), sections=_early_lr_step),
    "repeat_first_permutation": Switch(),
    "same_order": Switch(),
    "independent_init": Switch(needs=(_MEMBERS, _NO_REPLAY)),
    "keep_momentum": Switch(needs=(_MEMBERS, _NO_REPLAY)),
    "lfw_reward": Switch(sections=_lfw_reward),
    "lowest_rank_ties": Switch(),
    "easy_heads": Switch(needs=(_HEAD,), settings=_in_loss(rule="easy", scale=32.0)),
    "weight_decay_1e-4": Switch(sections=_weight_decay),
    "lfs_pixels": Switch(sections=_lfs_pixels),
}
"""In the order in which they are applied; `same_order` and `lowest_rank_ties` are how we do it."""
