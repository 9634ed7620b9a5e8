from __future__ import annotations

import tomllib

import pytest

from lfs_ray.config.build import build, build_config
from lfs_ray.config.dump import dump_toml
from lfs_ray.config.sections import Config, LossConfig, RewardConfig, SearchConfig


def _mistakes(text: str) -> list[str]:
    return build_config(tomllib.loads(text), place="x.toml")[1]


def test_nothing_gives_the_defaults() -> None:
    assert build_config({}, place="x.toml") == (Config(), [])


def test_a_text_for_the_reward_is_its_metric() -> None:
    config, mistakes = build_config({"reward": "auc"}, place="x.toml")
    assert (config, mistakes) == (Config(reward=RewardConfig(metric="auc")), [])


def test_missing_keys_come_from_the_base() -> None:
    base = SearchConfig(members=7, rounds=3)
    assert build(SearchConfig, {"rounds": 5}, base=base) == (SearchConfig(members=7, rounds=5), [])


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            "[search]\nmemberz = 3",
            "keys must be known, got search.memberz in x.toml: did you mean search.members?",
        ),
        (
            "members = 3",
            "keys must be known, got members in x.toml: did you mean search.members?",
        ),
        (
            "[storage]\nqqqq = 3",
            "keys must be known, got storage.qqqq in x.toml: "
            "valid here are keep_last, parents, fsync, compact_rounds, retry_s",
        ),
        (
            "[search]\nmembers = 4.0",
            "search.members must be a whole number, got 4.0 in x.toml: write it like members = 4",
        ),
        (
            "[search]\nmembers = true",
            "search.members must be a whole number, got true in x.toml: write it like members = 4",
        ),
        (
            '[search]\nsigma = "wide"',
            "search.sigma must be a number or a list of numbers, got 'wide' in x.toml: "
            "write it like sigma = 0.5",
        ),
        (
            '[search]\nsigma = [0.5, "wide"]',
            "search.sigma must be a number or a list of numbers, got [0.5, 'wide'] in x.toml: "
            "write it like sigma = 0.5",
        ),
        (
            "[search]\nmembers = [4]",
            "search.members must be a whole number, got [4] in x.toml: write it like members = 4",
        ),
        (
            '[search]\ncompat = ["released", "range"]',
            "search.compat must be a list of names among released, selection_only, "
            "unfolded_score, range_reward, ten_component_policy, released_scale, "
            "fixed_first_epochs, duplicate_identity_weight, probability_space_loss, "
            "early_lr_step, repeat_first_permutation, same_order, independent_init, "
            "keep_momentum, lfw_reward, lowest_rank_ties, easy_heads, weight_decay_1e-4, "
            "lfs_pixels, got ['released', 'range'] in x.toml: write it like "
            'compat = ["released"]',
        ),
        (
            '[data]\ntrain = "faces"',
            "data.train must be a list of texts, got 'faces' in x.toml: "
            'write it like train = ["text"]',
        ),
        (
            '[search]\npolicy = "reinforced"',
            "search.policy must be one of fixed, grid, random, selection_only, reinforce, "
            "reinforce_adaptive, paper, pgpe, cma, tpe, schedule, "
            "got 'reinforced' in x.toml: write it like policy = \"reinforce\"",
        ),
        (
            "[loss]\nname = 3",
            'loss.name must be text, got 3 in x.toml: write it like name = "text"',
        ),
        (
            "search = 3",
            "search must be a table, got 3 in x.toml: write its keys below the line [search]",
        ),
        (
            "[[populations]]\nmembers = 3",
            "populations must be a table, got [a table] in x.toml: "
            "write its keys below the line [populations]",
        ),
        (
            "[populations.am-1]",
            "names in populations must be lower-case letters, digits and underscores, "
            "got 'am-1' in x.toml: rename it",
        ),
        (
            "[report.LFW]",
            "names in report must be lower-case letters, digits and underscores, "
            "got 'LFW' in x.toml: rename it",
        ),
        (
            "[populations.a.search]\nroundz = 3",
            "keys must be known, got populations.a.search.roundz in x.toml: "
            "did you mean populations.a.search.rounds?",
        ),
    ],
)
def test_each_mistake_is_one_line(text: str, mistake: str) -> None:
    assert _mistakes(text) == [mistake]


def test_all_mistakes_are_found_at_once_and_the_rest_is_built() -> None:
    table = tomllib.loads(
        'qqqq = 1\n[search]\nmembers = "four"\nrounds = 5\n[loss]\nscale = 64\nmargin = []\n'
        "[populations.a]\nlr = 1"
    )
    config, mistakes = build_config(table, place="x.toml")
    assert [line.split(" in x.toml")[0].split("got ")[1] for line in mistakes] == [
        "qqqq",
        "'four'",
        "[]",
        "populations.a.lr",
    ]
    assert config.search == SearchConfig(rounds=5)
    assert config.loss == LossConfig(scale=64.0)


def test_populations_inherit_search_and_loss_key_by_key() -> None:
    table = tomllib.loads(
        "[search]\nmembers = 8\nsigma = 0.2\n[loss]\nscale = 64\n"
        "[populations.a.search]\nrounds = 3\n"
        '[populations.b.search]\nsigma = "none"\n[populations.b.loss]\nname = "local"\n'
        "[populations.c]"
    )
    config, mistakes = build_config(table, place="x.toml")
    assert mistakes == []
    assert list(config.populations) == ["a", "b", "c"]
    a, b, c = config.populations.values()
    assert a.search == SearchConfig(members=8, sigma=(0.2,), rounds=3)
    assert b.search == SearchConfig(members=8)
    assert b.loss == LossConfig(scale=64.0, name="local")
    assert (c.search, c.loss) == (config.search, config.loss)


@pytest.mark.parametrize(
    ("search", "members"),
    [({}, (4, 32, 4, 8)), ({"members": 6}, (6, 6, 6, 8)), ({"rounds": 3}, (4, 32, 4, 8))],
)
def test_am_lfs_has_its_papers_members_where_none_are_named(
    search: dict[str, int], members: tuple[int, ...]
) -> None:
    table = {
        "search": search,
        "populations": {"lfs": {"loss": {"name": "am_lfs"}}, "local": {"loss": {"name": "local"}}},
        "methods": {"few": {"loss": {"name": "am_lfs"}, "search": {"members": 8}}},
    }
    config, mistakes = build_config(table, place="x.toml")
    assert not mistakes
    populations = config.populations
    found = [config.search, populations["lfs"].search, populations["local"].search]
    assert [one.members for one in (*found, config.methods["few"].search)] == list(members)
    alone, _ = build_config({"loss": {"name": "am_lfs"}}, place="x.toml")
    assert alone.search.members == 32
    again, _ = build_config(tomllib.loads(dump_toml(config)), place="x.toml")
    assert again == config
