"""Methods x seeds x restarts at one budget: pure arithmetic on configurations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lfs_ray.compare.expand import Entry, expanded, replayed, with_baselines
from lfs_ray.config.build import build_config
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import Config
from lfs_ray.errors import ConfigError
from lfs_ray.execution.fit import population_mistakes, with_losses_resolved


def _config(**table: Any) -> Config:
    table.setdefault("compare", {"seeds": [3], "lineage_epochs": 4.0, "budget_epochs": 16.0})
    table.setdefault("search", {"members": 4, "round_epochs": 0.5})
    config, mistakes = build_config(table, place="the test")
    assert not mistakes
    return config


def _rounds_members_restarts(config: Config, method: str) -> tuple[int, int, int]:
    grown, entries = expanded(config)
    names = [name for name, entry in entries.items() if entry.method == method]
    search = grown.populations[names[0]].search
    return search.rounds, search.members, len(names)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({"loss": {"name": "normface"}}, (8, 1, 4)),
        ({"search": {"policy": "reinforce"}}, (8, 4, 1)),
        ({"search": {"policy": "reinforce", "members": 2}}, (8, 2, 2)),
        ({"search": {"policy": "reinforce", "members": 8}}, (4, 8, 1)),
        ({"search": {"policy": "random"}}, (8, 1, 4)),
        ({"search": {"policy": "selection_only"}, "loss": {"name": "am_softmax"}}, (8, 4, 1)),
        ({"search": {"policy": "reinforce"}, "loss": {"name": "arcface"}}, (8, 1, 4)),
    ],
)
def test_every_method_trains_as_many_epochs(
    method: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    rounds, members, restarts = _rounds_members_restarts(_config(methods={"m": method}), "m")
    assert (rounds, members, restarts) == expected
    assert rounds * 0.5 * members * restarts == 16.0


def test_restarts_are_other_seeds_and_margins_keep_theirs() -> None:
    am = {"loss": {"name": "am_softmax"}, "margins": [0.1, 0.2, 0.3]}
    config, entries = expanded(_config(methods={"n": {"loss": {"name": "normface"}}, "am": am}))
    of = {key: config.populations[entry.population] for key, entry in entries.items()}
    assert list(entries.values())[:2] == [Entry("n", 3, 0), Entry("n", 3, 1)]
    seeds = [of[f"n_s3_r{restart}"].search.seed for restart in range(4)]
    assert seeds[0] == 3
    assert len(set(seeds)) == 4
    tuned = [of[f"am_s3_r{restart}"] for restart in range(4)]
    assert [one.loss.margin for one in tuned] == [0.1, 0.2, 0.3, 0.1]
    assert [one.search.seed == 3 for one in tuned] == [True, True, True, False]


def test_adding_a_method_or_seed_changes_no_population() -> None:
    methods = {"n": {"loss": {"name": "normface"}}}
    before = expanded(with_baselines(_config(methods=methods)))[0].populations
    more = {**methods, "arc": {"loss": {"name": "arcface"}}}
    compare = {"seeds": [3, 4], "lineage_epochs": 4.0, "budget_epochs": 16.0}
    after = expanded(with_baselines(_config(methods=more, compare=compare)))[0].populations
    assert {name: after[name] for name in before} == before
    assert len(after) > 2 * len(before)


def test_the_three_baselines_are_always_there_and_not_twice() -> None:
    config = with_baselines(_config(methods={"n": {"loss": {"name": "normface"}}}))
    assert list(config.methods) == ["n", "am_tuned", "am_selection", "random"]
    assert with_baselines(config) == config
    assert len(config.methods["am_tuned"].margins) == 4
    assert _rounds_members_restarts(config, "am_selection") == (8, 4, 1)
    own = {
        "mine": {"loss": {"name": "am_softmax"}, "margins": [0.1, 0.2]},
        "best_of_b": {"loss": {"name": "am_softmax"}, "search": {"policy": "selection_only"}},
        "dice": {"search": {"policy": "random"}},
    }
    assert list(with_baselines(_config(methods=own)).methods) == list(own)


def test_a_replay_starts_from_other_weights_and_data() -> None:
    config, _ = expanded(_config(methods={"s": {"search": {"policy": "reinforce"}}}))
    search = config.populations["s_s3_r0"]
    replay = replayed(search, (0.1,) * 8, config.optimizer)
    assert (replay.search.policy, replay.search.members) == ("schedule", 1)
    assert replay.search.rounds == search.search.rounds
    assert replay.search.seed != search.search.seed
    assert replay.loss == search.loss


def test_a_replay_of_the_released_code_keeps_what_concerns_training() -> None:
    search = {"policy": "paper", "compat": ["released"]}
    grown, _ = expanded(_config(methods={"s": {"search": search}}))
    config = with_losses_resolved(resolve(grown, name="r"))
    released = config.populations["s_s3_r0"]
    replay = replayed(released, (-0.1,) * 8, config.optimizer)
    assert "keep_momentum" in released.search.compat
    assert {"weight_decay_1e-4", "duplicate_identity_weight"} < set(replay.search.compat)
    assert not {"keep_momentum", "selection_only", "fixed_first_epochs"} & set(
        replay.search.compat
    )
    assert replay.search.space == "released-global"
    assert population_mistakes(replace(config, populations={"replay": replay})) == []


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"compare": {"seeds": []}}, "compare.seeds must be different numbers, got []"),
        ({"compare": {"seeds": [1, 1]}}, "compare.seeds must be different numbers, got [1, 1]"),
        (
            {"search": {"members": 40, "round_epochs": 1.0}},
            "compare.budget_epochs must hold a round of method m (40 members x 1.0 epochs), got",
        ),
        (
            {"methods": {"m": {"loss": {"name": "am_softmax"}, "margins": [0.1] * 5}}},
            "methods.m.margins must be at most 4 numbers at 20.0 epochs of budget and 5.0 a",
        ),
    ],
)
def test_what_does_not_fit_the_budget_is_one_line(table: dict[str, Any], line: str) -> None:
    table = {"compare": {"seeds": [0]}, "search": {"round_epochs": 1.0}, **table}
    table.setdefault("methods", {"m": {"search": {"policy": "reinforce"}}})
    with pytest.raises(ConfigError) as caught:
        expanded(_config(**table))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_comparison_needs_methods_and_their_names() -> None:
    with pytest.raises(ConfigError, match="a comparison must have methods, got none"):
        with_baselines(_config())
    with pytest.raises(ConfigError, match=r"methods\.random must be the baseline of that name"):
        with_baselines(_config(methods={"random": {"loss": {"name": "normface"}}}))
