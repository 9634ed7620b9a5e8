from __future__ import annotations

import tomllib

from configurations import configurations
from hypothesis import HealthCheck, given, settings

from lfs_ray.config.build import build_config
from lfs_ray.config.dump import dump_toml
from lfs_ray.config.sections import Config, PopulationConfig, SearchConfig


@given(configurations)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
def test_what_was_written_is_read_back_equal(config: Config) -> None:
    text = dump_toml(config)
    assert build_config(tomllib.loads(text), place="config.toml") == (config, [])


def test_sections_are_whole_and_none_is_left_out() -> None:
    table = tomllib.loads(dump_toml(Config()))
    assert table["optimizer"]["milestones_epochs"] == []
    assert table["search"]["members"] == 4
    assert table["search"]["start"] == []
    assert "scale" not in table["loss"]
    assert "populations" not in table


def test_populations_hold_only_what_differs() -> None:
    shared = SearchConfig(sigma=(0.3,), learning_rate=0.1)
    config = Config(
        search=shared,
        populations={
            "own": PopulationConfig(search=SearchConfig(learning_rate=None, rounds=3)),
            "same": PopulationConfig(search=shared),
        },
    )
    table = tomllib.loads(dump_toml(config))
    own = {"search": {"rounds": 3, "sigma": [], "learning_rate": "none"}}
    assert table["populations"] == {"own": own, "same": {}}


def test_floats_are_exact() -> None:
    config = Config(search=SearchConfig(start=(0.1 + 0.2,), sigma=(1.0, 5e-324)))
    read = tomllib.loads(dump_toml(config))["search"]
    assert (read["start"], read["sigma"]) == ([0.1 + 0.2], [1.0, 5e-324])
