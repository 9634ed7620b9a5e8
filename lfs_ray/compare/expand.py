"""Methods x seeds x restarts -> populations of one run, all at the same budget.

Pure: a configuration in, a configuration with populations out. A method is a population of its own
for each seed and restart, so that methods can be added to a finished comparison without changing
the others. The budget is trained images over all members; a method with one lineage spends it on
restarts (its margins, or other seeds), of which the reward set chooses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lfs_ray.config.compat import with_switches
from lfs_ray.config.sections import (
    CompareConfig,
    Config,
    LossConfig,
    MethodConfig,
    OptimizerConfig,
    PopulationConfig,
    SearchConfig,
)
from lfs_ray.errors import ConfigError
from lfs_ray.execution.blueprint import is_searched
from lfs_ray.seeds import derive_seed

ONE_MEMBER = ("fixed", "random", "schedule")
"""Policies of one lineage; `fixed` with several members is selection alone."""
BASELINE_POLICIES = ("fixed", "grid", "random", "selection_only")
"""Nothing is learnt from rewards but which weights, margin or seed is best."""
AM_MARGINS = (0.35, 0.2, 0.1, 0.3, 0.4, 0.5, 0.15, 0.25)
"""Margins that the tuned AM-Softmax tries, the usual one first; as many as the budget allows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One population of a comparison."""

    method: str
    seed: int
    restart: int

    @property
    def population(self) -> str:
        """Its name in the run."""
        return f"{self.method}_s{self.seed}_r{self.restart}"


def with_baselines(config: Config) -> Config:
    """The configuration with the three baselines that every comparison has, where they lack.

    Tuned AM-Softmax, selection-only AM-Softmax (the best member's weights go on, one fixed loss)
    and Random-Softmax. They count as there under any name.

    Raises:
        ConfigError: there are no methods to compare.
    """
    if not config.methods:
        raise ConfigError(
            "a comparison must have methods, got none: name them in tables [methods.NAME] with "
            "search and loss"
        )
    there = {_kind(settled(method)) for method in config.methods.values()}
    methods = {
        name: method
        for name, method in _baselines(config).items()
        if _kind(settled(method)) not in there
    }
    taken = sorted(config.methods.keys() & methods.keys())
    if taken:
        raise ConfigError(
            f"methods.{taken[0]} must be the baseline of that name, got another method: rename it"
        )
    return replace(config, methods={**config.methods, **methods})


def settled(method: MethodConfig) -> MethodConfig:
    """The method with the policy that its loss allows.

    A hand-made loss is trained as it is (policy `fixed`, one lineage), or with `selection_only` by
    several members of which the best goes on; random draws need one member.
    """
    search = method.search
    if not is_searched(method.loss):
        selects = search.policy == "selection_only"
        members = search.members if selects else 1
        search = replace(search, policy="fixed", members=members)
    elif search.policy in ONE_MEMBER:
        search = replace(search, members=1)
    return replace(method, search=search)


def expanded(config: Config) -> tuple[Config, dict[str, Entry]]:
    """The configuration with a population for each method, seed and restart, and what each is.

    Raises:
        ConfigError: something of a method doesn't fit the budget; all of them, one line each.
    """
    mistakes = list(_mistakes(config))
    if mistakes:
        raise ConfigError(mistakes)
    populations: dict[str, PopulationConfig] = {}
    entries: dict[str, Entry] = {}
    for name, method in config.methods.items():
        for seed in config.compare.seeds:
            for restart, population in enumerate(_populations(settled(method), seed, config)):
                entry = Entry(name, seed, restart)
                populations[entry.population], entries[entry.population] = population, entry
    return replace(config, populations=populations), entries


def lineage_rounds(search: SearchConfig, compare: CompareConfig) -> int:
    """Rounds of each lineage: the common length, or what the budget leaves to so many members."""
    affordable = min(compare.lineage_epochs, compare.budget_epochs / search.members)
    return max(1, math.floor(affordable / search.round_epochs + 1e-9))


def restarts_of(method: MethodConfig, compare: CompareConfig) -> int:
    """Lineages that the budget allows; 1 for a method whose members share it."""
    search = method.search
    epochs = lineage_rounds(search, compare) * search.round_epochs * search.members
    return max(1, math.floor(compare.budget_epochs / epochs + 1e-9))


def replay_name(method: str) -> str:
    """Name of the row that replays a method's schedules."""
    return f"{method}_replayed"


def replayed(
    population: PopulationConfig, script: tuple[float, ...], optimizer: OptimizerConfig
) -> PopulationConfig:
    """The population that trains once under a schedule, from other initial weights and data order.

    From the same ones it would give the search's own weights again. Of `search.compat` those
    switches stay that concern training.
    """
    search = population.search
    assert search.seed is not None
    replay = replace(
        population,
        search=replace(
            search,
            policy="schedule",
            members=1,
            script=script,
            warmup_epochs=0.0,
            seed=derive_seed(search.seed, "replay"),
        ),
    )
    return with_switches(replay, optimizer)


def is_baseline(method: MethodConfig) -> bool:
    """Whether the method may be the one that the others are compared with."""
    return method.search.policy in BASELINE_POLICIES


def _populations(method: MethodConfig, seed: int, config: Config) -> Iterator[PopulationConfig]:
    compare, margins = config.compare, method.margins
    for restart in range(restarts_of(method, compare)):
        loss, search = method.loss, method.search
        if margins:
            loss = replace(loss, margin=margins[restart % len(margins)])
        again = restart // max(1, len(margins))
        own = seed if again == 0 else derive_seed(seed, "restart", again)
        rounds = lineage_rounds(search, compare)
        yield PopulationConfig(search=replace(search, rounds=rounds, seed=own), loss=loss)


def _baselines(config: Config) -> dict[str, MethodConfig]:
    search, scale = config.search, config.loss.scale
    am = LossConfig(name="am_softmax", scale=scale)
    fixed = replace(search, policy="fixed", members=1, start=(), sigma=(), space="", compat=())
    tuned = MethodConfig(search=fixed, loss=am)
    restarts = restarts_of(tuned, config.compare)
    random = LossConfig(name="global", scale=scale)
    return {
        "am_tuned": replace(tuned, margins=AM_MARGINS[:restarts]),
        "am_selection": MethodConfig(
            search=replace(fixed, policy="selection_only", members=max(2, search.members)),
            loss=am,
        ),
        "random": MethodConfig(search=replace(fixed, policy="random"), loss=random),
    }


def _kind(method: MethodConfig) -> str:
    """Which of the baselines a settled method is; empty: none."""
    search, loss = method.search, method.loss
    if search.policy == "random":
        return "random"
    if loss.name != "am_softmax" or search.policy != "fixed":
        return ""
    return "selection" if search.members > 1 else "tuned" if len(method.margins) > 1 else ""


def _mistakes(config: Config) -> Iterator[str]:
    compare = config.compare
    if not compare.seeds or len(set(compare.seeds)) < len(compare.seeds):
        yield (
            f"compare.seeds must be different numbers, got {list(compare.seeds)}: name each once"
        )
    for name, given in config.methods.items():
        method = settled(given)
        search = method.search
        if search.round_epochs * search.members > compare.budget_epochs:
            yield (
                f"compare.budget_epochs must hold a round of method {name} "
                f"({search.members} members x {search.round_epochs} epochs), got "
                f"{compare.budget_epochs}: raise it, or shorten the rounds"
            )
        elif len(method.margins) > restarts_of(method, compare):
            yield (
                f"methods.{name}.margins must be at most {restarts_of(method, compare)} numbers "
                f"at {compare.budget_epochs} epochs of budget and {compare.lineage_epochs} a "
                f"lineage, got {len(method.margins)}: drop some, or raise compare.budget_epochs"
            )
