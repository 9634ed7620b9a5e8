from __future__ import annotations

from configurations import configurations
from hypothesis import HealthCheck, given, settings

from lfs_ray.config.resolve import populations_of, resolve
from lfs_ray.config.sections import (
    Config,
    LossConfig,
    PopulationConfig,
    RunConfig,
    SearchConfig,
)


def test_without_populations_there_is_one_called_main() -> None:
    config = Config(search=SearchConfig(members=6), loss=LossConfig(scale=64.0))
    main = PopulationConfig(search=config.search, loss=config.loss)
    assert populations_of(config) == {"main": main}
    assert list(resolve(config, name="x").populations) == ["main"]


def test_a_population_has_the_run_s_seed_or_its_own() -> None:
    own = PopulationConfig(search=SearchConfig(seed=3))
    config = Config(run=RunConfig(seed=7), populations={"a": own, "b": PopulationConfig()})
    populations = resolve(config, name="x").populations
    assert {name: p.search.seed for name, p in populations.items()} == {"a": 3, "b": 7}


def test_the_run_has_its_name() -> None:
    assert resolve(Config(run=RunConfig(name="old")), name="new").run.name == "new"


def test_decay_epochs_stay_each_population_s_own() -> None:
    assert resolve(Config(), name="x").optimizer.decay_epochs is None


@given(configurations)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
def test_resolving_again_changes_nothing(config: Config) -> None:
    resolved = resolve(config, name="x")
    assert resolve(resolved, name="x") == resolved
    assert resolved.populations
    assert all(p.search.seed is not None for p in resolved.populations.values())
