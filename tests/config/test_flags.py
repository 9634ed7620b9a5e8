from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
import tyro

from lfs_ray.config.build import Words
from lfs_ray.config.flags import overlay, parse_flags, split_flags
from lfs_ray.config.keys import key_types
from lfs_ray.config.sections import Config

FILE = """
[search]
members = 8
rounds = 20
[populations.a.search]
rounds = 3
[populations.b]
"""


def _parse(*args: str, text: str = "") -> tuple[Config, list[str]]:
    return parse_flags(args, tomllib.loads(text), prog="lfs-ray search", place="x.toml")


def test_flags_win_over_the_file_and_the_file_over_the_defaults() -> None:
    config, mistakes = _parse("--search.members", "6", text=FILE)
    assert mistakes == []
    assert (config.search.members, config.search.rounds) == (6, 20)
    assert config.search.round_epochs == Config().search.round_epochs


def test_a_flag_reaches_the_populations_that_did_not_set_the_key() -> None:
    config, mistakes = _parse("--search.rounds", "5", "--loss.scale=64", text=FILE)
    assert mistakes == []
    assert {name: p.search.rounds for name, p in config.populations.items()} == {"a": 3, "b": 5}
    assert {p.loss.scale for p in config.populations.values()} == {64.0}


def test_a_population_has_its_own_flags() -> None:
    config, _ = _parse("--populations.a.search.rounds", "9", "--search.rounds", "5", text=FILE)
    assert {name: p.search.rounds for name, p in config.populations.items()} == {"a": 9, "b": 5}


def test_the_implicit_population_has_flags_too() -> None:
    config, mistakes = _parse("--populations.main.search.rounds", "9")
    assert mistakes == []
    assert config.populations["main"].search.rounds == 9


def test_the_reward_by_its_name_alone_keeps_the_other_flags_of_its_section() -> None:
    config, mistakes = _parse("--reward.flip", "false", text='reward = "auc"')
    assert (mistakes, config.reward.metric, config.reward.flip) == ([], "auc", False)
    config, mistakes = _parse("--reward", "tar@far=1e-3", text='reward = "auc"')
    assert (mistakes, config.reward.metric) == ([], "tar@far=1e-3")


def test_a_misspelt_population_is_refused() -> None:
    config, mistakes = _parse("--populations.c.search.rounds", "9", text=FILE)
    assert list(config.populations) == ["a", "b"]
    assert mistakes == [
        "flags must name a population of the configuration, got --populations.c.search.rounds "
        "on the command line: it has a, b"
    ]


def test_a_report_set_can_be_given_on_the_command_line() -> None:
    config, mistakes = _parse("--report.lfw.images", "i", "--report.lfw.pairs", "p")
    assert mistakes == []
    assert (config.report["lfw"].images, config.report["lfw"].pairs) == ("i", "p")


@pytest.mark.parametrize(
    "args",
    [
        ["--search.round-epochs", "0.25"],
        ["--search.round_epochs", "0.25"],
        ["--search.round-epochs=0.25"],
        ["--search.round_epochs", "7", "--search.round-epochs", "0.25"],
    ],
)
def test_hyphens_underscores_and_equals_mean_the_same(args: list[str]) -> None:
    config, mistakes = _parse(*args)
    assert (config.search.round_epochs, mistakes) == (0.25, [])


def test_lists_take_several_words_and_numbers_may_be_negative() -> None:
    config, mistakes = _parse(
        "--data.train", "a", "b", "--search.start", "-1", "--search.sigma", "none",
        "--search.warmup-theta", "1", "-2",
        "--optimizer.milestones-epochs", "1", "2.5", "--reward.flip", "false",
    )  # fmt: skip
    assert mistakes == []
    assert config.data.train == ("a", "b")
    assert (config.search.start, config.search.sigma) == ((-1.0,), ())
    assert config.search.warmup_theta == (1.0, -2.0)
    assert config.optimizer.milestones_epochs == (1.0, 2.5)
    assert config.reward.flip is False


@pytest.mark.parametrize(
    ("args", "mistake"),
    [
        (
            ["--search.memberz", "3"],
            "flags must be known, got --search.memberz on the command line: "
            "did you mean --search.members?",
        ),
        (
            ["--search", "3"],
            "flags must be known, got --search on the command line: --help lists the flags",
        ),
        (
            ["--seed", "3"],
            "flags must be known, got --seed on the command line: "
            "did you mean --run.seed or --search.seed?",
        ),
        (
            ["stray", "--search.members", "3"],
            "flags must be written --section.key VALUE, got 'stray' before any flag: "
            "put the flag it belongs to before it",
        ),
        (
            ["--search.members", "four"],
            "search.members must be a whole number, got 'four' on the command line: "
            "write it like --search.members 4",
        ),
        (
            ["--search.members"],
            "search.members must be a whole number, got nothing on the command line: "
            "write it like --search.members 4",
        ),
        (
            ["--search.members", "3", "4"],
            "search.members must be a whole number, got '3' '4' on the command line: "
            "write it like --search.members 4",
        ),
        (
            ["--search.sigma", "0.1", "wide"],
            "search.sigma must be a number or a list of numbers, got '0.1' 'wide' "
            "on the command line: write it like --search.sigma 0.5",
        ),
        (
            ["--search.shaping", "cente"],
            "search.shaping must be one of std, centre, range, rank, got 'cente' "
            "on the command line: write it like --search.shaping centre",
        ),
    ],
)
def test_each_mistake_is_one_line(args: list[str], mistake: str) -> None:
    assert _parse(*args)[1] == [mistake]


def test_mistakes_of_file_and_flags_come_together() -> None:
    _, mistakes = _parse("--loss.scale", "x", "--qq", text="[search]\nmembers = []")
    assert [line.split(" must")[0] for line in mistakes] == [
        "flags",
        "search.members",
        "loss.scale",
    ]


def test_a_flag_leaves_a_mistake_of_the_file_visible() -> None:
    _, mistakes = _parse("--search.members", "3", text="search = 5")
    assert len(mistakes) == 1
    assert mistakes[0].startswith("search must be a table, got 5 in x.toml")


def test_overlay_leaves_the_file_as_it_was() -> None:
    table = {"search": {"members": 3}}
    flags, _ = split_flags(["--search.members", "4"], populations=["main"])
    assert overlay(table, flags) == {"search": {"members": Words(("4",))}}
    assert table == {"search": {"members": 3}}


def test_the_help_names_every_flag_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        _parse("--search.members", "6", "--help", text=FILE)
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    assert "usage: lfs-ray search" in text
    assert "as in its paper. (default: 6)" in text
    for path in key_types():
        if not path.startswith(("populations.", "methods.")):
            assert f"--{path.replace('_', '-')} " in text
    assert "--populations.NAME.search.KEY" in text
    assert "--methods.NAME.margins" in text


@pytest.mark.parametrize(
    "args",
    [
        ["--search.members", "6", "--search.start", "-0.5", "--data.train", "a", "b"],
        ["--loss.name", "local", "--worker.gpus", "0.5", "--optimizer.milestones-epochs", "1"],
        ["--reward.flip", "False", "--search.seed", "None", "--run.name", "x y"],
    ],
)
def test_flags_are_read_as_the_help_shows_them(args: list[str]) -> None:
    shown = tyro.cli(tyro.conf.FlagConversionOff[Config], args=args, default=Config())
    assert _parse(*args) == (shown, [])


def test_configuration_takes_no_torch_and_no_ray() -> None:
    code = "import sys, lfs_ray.config.load; print({'torch', 'ray', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
