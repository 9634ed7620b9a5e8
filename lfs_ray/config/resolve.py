"""A checked configuration to the resolved one of a run: nothing implicit that is known here.

What depends on the machine or the data (device, worker count, lengths in images) stays as it is;
`optimizer.decay_epochs` stays None, since each population derives it from its own length.
"""

from __future__ import annotations

from dataclasses import replace

from lfs_ray.config.compat import with_switches
from lfs_ray.config.sections import Config, PopulationConfig, SearchConfig

IMPLICIT_POPULATION = "main"


def populations_of(config: Config) -> dict[str, PopulationConfig]:
    """Return the populations, or the one called `main` where none are given."""
    implicit = PopulationConfig(search=config.search, loss=config.loss)
    return config.populations or {IMPLICIT_POPULATION: implicit}


def resolve(config: Config, *, name: str) -> Config:
    """Return `config` as the run called `name` keeps it; resolving again changes nothing.

    Populations are explicit and have their seeds (run.seed unless they set one); switches of
    `search.compat` are named one by one and have become settings where they are some.
    """
    populations = {key: _settled(one, config) for key, one in populations_of(config).items()}
    template = _settled(PopulationConfig(search=config.search, loss=config.loss), config)
    return replace(
        config,
        run=replace(config.run, name=name),
        search=template.search,
        loss=template.loss,
        populations=populations,
    )


def _settled(population: PopulationConfig, config: Config) -> PopulationConfig:
    population = with_switches(population, config.optimizer)
    return replace(population, search=_seeded(population.search, config.run.seed))


def _seeded(search: SearchConfig, run_seed: int) -> SearchConfig:
    return search if search.seed is not None else replace(search, seed=run_seed)
