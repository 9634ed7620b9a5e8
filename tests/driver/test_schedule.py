from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tiny_runs import lfs_ray, tiny_config

from lfs_ray.config.sections import LossConfig
from lfs_ray.driver.schedule import as_training, with_schedule
from lfs_ray.errors import ConfigError
from lfs_ray.execution.fit import population_mistakes
from lfs_ray.training.checkpoint import decode
from lfs_ray.trials.read import read_trials

GOOD = """
population = "main"
[loss]
name = "global"
scale = 24.0
[search]
space = "margin"
margin_max = 0.5
round_epochs = 0.25
seed = 7
[[round]]
theta = [0.2]
margin = 0.2
[[round]]
theta = [0.30000000000000004]
margin = 0.3
"""


def written(folder: Path, text: str = GOOD) -> str:
    path = folder / "schedule.toml"
    path.write_text(text)
    return str(path)


def test_a_schedule_holds_the_winners_in_full_precision(finished: Path) -> None:
    content = tomllib.loads((finished / "populations/main/schedule.toml").read_text())
    trials = read_trials(finished).loc["main"]
    winners = trials[trials["selected"]]
    for one, (_, row) in zip(content["round"], winners.iterrows(), strict=True):
        assert one["theta"] == [row["theta_margin"]]
        assert (one["reward"], one["epochs"]) == (row["reward"], row["epochs"])
    assert content["loss"]["scale"] == 16.0
    assert content["search"] == {
        "space": "margin",
        "margin_max": 1.0,
        "round_epochs": 0.5,
        "seed": 0,
    }


def arrays_of(population: Path) -> dict[str, bytes]:
    arrays, _ = decode((population / "model.safetensors").read_bytes(), name="m")
    return {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("population", ["main", "am"])
def test_a_replay_ends_with_the_searchs_weights_bit_for_bit(
    finished: Path, config_file: str, tmp_path: Path, population: str
) -> None:
    found = finished / "populations" / population
    schedule = str(found / "schedule.toml")
    again = tmp_path / "again"
    words = ("train", config_file, "--schedule", schedule, "--run-dir", str(again))
    assert lfs_ray(*words) == 0
    assert arrays_of(again / "populations" / "main") == arrays_of(found)
    trials = read_trials(again)
    assert trials["selected"].all()
    searched = read_trials(finished).loc[population]
    winners = searched[searched["selected"]]
    assert trials["reward"].tolist() == winners["reward"].tolist()


def test_a_replay_takes_the_schedules_own_keys(faces: str, tmp_path: Path) -> None:
    before = tiny_config(faces, search={"warmup_epochs": 1.0}, loss={"margin": 0.1})
    config = with_schedule(before, written(tmp_path))
    search = config.search
    assert (search.policy, search.members, search.rounds) == ("schedule", 1, 2)
    assert search.script == (0.2, 0.30000000000000004)
    assert (search.margin_max, search.round_epochs, search.seed) == (0.5, 0.25, 7)
    assert search.warmup_epochs == 0.0
    assert config.loss == LossConfig(name="global", scale=24.0)
    assert config.populations == {}
    assert config.optimizer == before.optimizer


def test_a_replay_is_of_its_own_space_and_loss(faces: str, tmp_path: Path) -> None:
    """What the configuration says of the search of another loss does no harm."""
    other = {"start": [0.1] * 10, "sigma": [0.2] * 10, "warmup_theta": [0.3] * 10}
    before = tiny_config(faces, loss={"name": "local"}, search=other)
    assert population_mistakes(with_schedule(before, written(tmp_path))) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('space = "margin"', 'space = "angle"', "search.space must be one of margin, raw, log, "),
        ('space = "margin"', 'space = "raw"', "search.script must lie in [-inf, 0] (a of space"),
        ("theta = [0.2]", "theta = 0.7", "search.script must lie in [0, 0.5] (margin of space"),
        ('name = "global"', 'name = "local"', "search.script must hold 10 for each round of "),
        ('name = "global"', 'name = "globe"', "loss.name must be one of "),
        ('name = "global"', 'name = "arcface"', "search.policy must be fixed for loss arcface, "),
        ("scale = 24.0", "margin = 0.2", "options of loss 'global' must be among "),
    ],
)
def test_a_schedule_of_another_space_or_loss_is_refused_in_one_line(
    faces: str, tmp_path: Path, old: str, new: str, line: str
) -> None:
    assert GOOD.count(old) == 1
    config = with_schedule(tiny_config(faces), written(tmp_path, GOOD.replace(old, new)))
    (found,) = population_mistakes(config)
    assert found.startswith(line)


def test_training_is_one_member_without_search(faces: str) -> None:
    before = tiny_config(faces, loss={"name": "arcface"}, search={"policy": "fixed"})
    config = as_training(before, "")
    assert (config.search.policy, config.search.members) == ("fixed", 1)
    assert config.loss == before.loss
    assert config.populations == {}


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("[loss]\n", "[lost]\n", ["must hold loss, search and round"]),
        ("scale = 24.0", 'scale = "24"', ["loss.scale must be a number"]),
        ("margin_max = 0.5", "margin_max = [1]", ["search.margin_max must be a number"]),
        ('space = "margin"', "space = 3", ["search.space must be text"]),
        ('name = "global"', "name = 3", ["loss.name must be text"]),
        ("seed = 7", "sed = 7", ["got search.sed"]),
        ("theta = [0.2]", 'theta = "wide"', ["round.0.theta must be a number or a list of"]),
        ("theta = [0.2]", 'theta = ["a"]', ["round.0.theta must be a number or a list of"]),
        ("theta = [0.2]", "thetas = [0.2]", ["got round.0.thetas"]),
        ("theta = [0.2]", "theta = [0.2, 0.3]", ["as many numbers, got 1 and 2"]),
        ("theta = [0.2]\n", "", ["as many numbers, got 0 and 1"]),
        ("theta = [0.2]", "number = 1\ntheta = [0.2]", ["numbered 0, 1, 2 and so on, got 1 in"]),
        (GOOD[GOOD.index("[[round]]") :], "", ["must hold loss, search and round"]),
        (GOOD[GOOD.index("[[round]]") :], "[round]\n", ["table [[round]] for each round"]),
        (GOOD, "round = []\nloss = {}\nsearch = {}", ["table [[round]] for each round"]),
        (GOOD, "round = 3\nloss = {}\nsearch = {}", ["table [[round]] for each round"]),
        (GOOD, "round = [3]\nloss = {}\nsearch = {}", ["round.0 must be a table"]),
        (GOOD, "loss = 3\nround = [{}]\nsearch = 4", ["loss must be a table", "search must be"]),
        (GOOD, "[loss", ["must be a schedule.toml"]),
        (GOOD, "\x00", ["must be a schedule.toml"]),
    ],
)
def test_what_is_no_schedule_is_one_line_a_mistake(
    faces: str, tmp_path: Path, old: str, new: str, lines: list[str]
) -> None:
    assert GOOD.count(old) == 1
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as error:
        with_schedule(tiny_config(faces), path)
    found = error.value.mistakes
    assert len(found) == len(lines)
    for line, part in zip(found, lines, strict=True):
        assert part in line
        assert path in line
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize("path", ["nothing/schedule.toml", ".", ""])
def test_a_schedule_that_is_no_file_is_one_line(
    faces: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^--schedule must be a schedule\.toml, got"):
        with_schedule(tiny_config(faces), path)
