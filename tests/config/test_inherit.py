"""What a population takes over from `search` and `loss`, read, written and read again."""

from __future__ import annotations

import tomllib
from dataclasses import fields

import pytest

from lfs_ray.config.build import build_config
from lfs_ray.config.dump import dump_toml
from lfs_ray.config.flags import parse_flags
from lfs_ray.config.inherit import base_of, base_of_method
from lfs_ray.config.sections import Config, LossConfig, MethodConfig, SearchConfig

SEARCH = SearchConfig(members=7, sigma=(0.1,))
LOSS = LossConfig(
    name="arcface",
    scale=20.0,
    margin=0.3,
    rule="easy",
    grad="detached",
    focal_gamma=2.0,
    options=("t=0.2",),
)
SHARED = """
[search]
members = 7
sigma = 0.1
[loss]
name = "arcface"
scale = 20
margin = 0.3
rule = "easy"
grad = "detached"
focal_gamma = 2.0
options = ["t=0.2"]
"""


def _config(more: str) -> Config:
    config, mistakes = build_config(tomllib.loads(SHARED + more), place="x.toml")
    assert mistakes == []
    assert dump_toml(config) == dump_toml(_read(config))
    assert _read(config) == config
    return config


def _read(config: Config) -> Config:
    read, mistakes = build_config(tomllib.loads(dump_toml(config)), place="config.toml")
    assert mistakes == []
    return read


def test_every_key_of_the_example_is_no_default() -> None:
    for item in fields(LossConfig):
        assert getattr(LOSS, item.name) != getattr(LossConfig(), item.name), item.name


@pytest.mark.parametrize("base", [base_of, base_of_method])
def test_the_same_loss_inherits_every_key(base: object) -> None:
    assert callable(base)
    same = base(SEARCH, LOSS, "arcface")
    assert (same.search, same.loss) == (SEARCH, LOSS)


@pytest.mark.parametrize("table", ["populations", "methods"])
def test_another_loss_inherits_only_the_scale(table: str) -> None:
    config = _config(
        f'[{table}.a.loss]\nname = "am_softmax"\n[{table}.b]\nloss = {{ margin = 0 }}'
    )
    a, b = getattr(config, table).values()
    assert a.loss == LossConfig(name="am_softmax", scale=20.0)
    assert (b.loss.name, b.loss.margin, b.loss.rule) == ("arcface", 0.0, "easy")
    assert a.search == b.search == SEARCH


def test_another_loss_keeps_its_own_keys() -> None:
    own = '{ name = "magface", scale = "none", focal_gamma = 2.0, options = ["a=1"] }'
    config = _config(f"[populations]\na = {{ loss = {own} }}")
    expected = LossConfig(name="magface", focal_gamma=2.0, options=("a=1",))
    assert config.populations["a"].loss == expected
    table = tomllib.loads(dump_toml(config))["populations"]["a"]["loss"]
    assert table == {
        "name": "magface",
        "scale": "none",
        "focal_gamma": 2.0,
        "options": ["a=1"],
    }


def test_what_equals_the_shared_keys_under_another_name_is_written_out() -> None:
    own = '{ name = "combined", margin = 0.3, rule = "easy" }'
    config = _config(f"[populations]\na = {{ loss = {own} }}")
    loss = config.populations["a"].loss
    assert (loss.margin, loss.rule, loss.grad) == (0.3, "easy", None)


def test_the_name_may_come_from_a_flag() -> None:
    table = tomllib.loads(SHARED + "[populations.a]\n[populations.b]\nloss = { margin = 0.1 }")
    flags = ["--populations.a.loss.name", "normface", "--loss.scale", "30"]
    config, mistakes = parse_flags(flags, table, prog="lfs-ray search")
    assert mistakes == []
    assert config.populations["a"].loss == LossConfig(name="normface", scale=30.0)
    assert config.populations["b"].loss.grad == "detached"


def test_a_shared_name_from_a_flag_is_the_name_that_counts() -> None:
    table = tomllib.loads(SHARED + '[populations.a]\nloss = { name = "arcface" }')
    config, _ = parse_flags(["--loss.name", "normface"], table, prog="lfs-ray search")
    assert config.populations["a"].loss == LossConfig(name="arcface", scale=20.0)


@pytest.mark.parametrize("name", ["3", "[]", '["am_softmax"]', "{}"])
def test_a_name_that_is_no_text_is_one_mistake(name: str) -> None:
    table = tomllib.loads(SHARED + f"[populations.a.loss]\nname = {name}")
    config, mistakes = build_config(table, place="x.toml")
    assert [line.partition(" must")[0] for line in mistakes] == ["populations.a.loss.name"]
    assert config.populations["a"].loss == LOSS


def test_a_method_s_margins_are_its_own() -> None:
    config = _config("[methods.a]\nmargins = 0.3\n[methods.b]\nmargins = [0.1, 0.2]")
    assert config.methods["a"] == MethodConfig(search=SEARCH, loss=LOSS, margins=(0.3,))
    assert config.methods["b"].margins == (0.1, 0.2)
