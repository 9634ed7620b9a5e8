from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.load import load_config, load_stored, read_config, read_toml
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import Config
from lfs_ray.errors import ConfigError


def _refusal(path: Path | None, *args: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(None if path is None else str(path), args, prog="lfs-ray search")
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    assert all("\n" not in line for line in caught.value.mistakes)
    return caught.value.mistakes


def _file(folder: Path, text: str) -> Path:
    path = folder / "x.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_file_and_flags_it_is_the_embedded_example() -> None:
    assert load_config(None, [], prog="lfs-ray search") == Config()


def test_a_file_and_flags_give_one_configuration(tmp_path: Path) -> None:
    path = _file(tmp_path, "[search]\nmembers = 6\nrounds = 3\n")
    config = load_config(str(path), ["--search.rounds", "9"], prog="lfs-ray search")
    assert (config.search.members, config.search.rounds) == (6, 9)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert _refusal(path) == (
        f"the configuration file must be readable, got {path} (No such file or directory): "
        "correct the path, or leave the file out for the embedded example",
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (line,) = _refusal(tmp_path)
    assert "(Is a directory)" in line


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b'a = "\xff"')
    assert _refusal(path) == (
        f"the configuration file must be UTF-8 text, got byte 5 of {path}: save it as UTF-8",
    )


def test_invalid_toml_names_file_and_line(tmp_path: Path) -> None:
    path = _file(tmp_path, "[run]\nseed = = 3\n")
    assert _refusal(path) == (
        f"the configuration must be valid TOML, got {path}, line 2, column 8 (Invalid value): "
        "correct that line",
    )


def test_toml_that_ends_too_early_is_one_line(tmp_path: Path) -> None:
    path = _file(tmp_path, "[run]\nseed =")
    (line,) = _refusal(path)
    assert f"got {path}, end of document" in line


def test_mistakes_of_every_kind_come_together(tmp_path: Path) -> None:
    path = _file(tmp_path, "[search]\nmemberz = 3\nrounds = 0\n")
    lines = _refusal(path, "--loss.scale", "x", "--nothing")
    assert [line.split(" must")[0] for line in lines] == [
        "flags",
        "keys",
        "loss.scale",
        "search.rounds",
    ]


def test_after_a_mistake_its_default_is_not_judged(tmp_path: Path) -> None:
    path = _file(tmp_path, '[search]\npolicy = "rondom"\nmembers = 1\n')
    assert [line.split(" must")[0] for line in _refusal(path)] == ["search.policy"]


def test_keys_that_do_not_fit_are_refused() -> None:
    lines = _refusal(None, "--data.validation-pairs", "p", "--worker.heartbeat-s", "50")
    assert [line.split(" must")[0] for line in lines] == [
        "data.validation_images",
        "worker.heartbeat_s",
    ]


def _single(config: Config) -> list[str]:
    return [f"search.members must be 1, got {config.search.members}: lower it"]


def test_what_others_find_is_told_with_the_rest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["--worker.heartbeat-s", "50"], prog="lfs-ray search", more=_single)
    assert [line.split(" must")[0] for line in caught.value.mistakes] == [
        "worker.heartbeat_s",
        "search.members",
    ]
    with pytest.raises(ConfigError, match=r"^search\.members must be 1, got 4: lower it$"):
        load_stored(dump_toml(resolve(Config(), name="a")), [], place="c", more=_single)


@pytest.mark.parametrize(
    "flags", [["--loss.scale", "x"], ["--loss.scale", "-1"], ["--serch.members", "1"]]
)
def test_others_are_not_asked_about_keys_and_numbers_that_are_wrong(flags: list[str]) -> None:
    def never(config: Config) -> list[str]:
        raise AssertionError(config)

    with pytest.raises(ConfigError) as caught:
        load_config(None, flags, prog="lfs-ray search", more=never)
    assert len(caught.value.mistakes) == 1


def test_help_is_given_even_if_keys_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        load_config(None, ["--help", "--search.members", "1"], prog="lfs-ray train")
    assert stop.value.code == 0
    assert "usage: lfs-ray train" in capsys.readouterr().out


def test_the_file_of_a_run_gives_its_configuration_back(tmp_path: Path) -> None:
    config = resolve(Config(), name="a")
    path = _file(tmp_path, dump_toml(config))
    assert load_config(str(path), [], prog="lfs-ray search") == config
    assert read_config(dump_toml(config), place="config.toml") == config


def test_a_flag_over_the_file_of_a_run_reaches_its_population(tmp_path: Path) -> None:
    path = _file(tmp_path, dump_toml(resolve(Config(), name="a")))
    config = load_config(str(path), ["--search.rounds", "20"], prog="lfs-ray search")
    assert config.populations["main"].search.rounds == 20


def test_a_run_s_own_configuration_takes_flags() -> None:
    text = dump_toml(resolve(Config(), name="a"))
    config = load_stored(text, ["--search.rounds", "20"], place="config.toml")
    assert config.populations["main"].search.rounds == 20
    with pytest.raises(ConfigError, match=r"did you mean --search\.members"):
        load_stored(text, ["--search.memberz", "20"], place="config.toml")


def test_a_command_adapts_the_configuration_before_it_is_checked() -> None:
    def single(config: Config) -> Config:
        return replace(config, search=replace(config.search, policy="random"))

    args = ["--search.members", "1"]
    config = load_config(None, args, prog="lfs-ray train", adapt=single)
    assert (config.search.policy, config.search.members) == ("random", 1)


def test_a_run_s_text_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"got search\.x in s3://b/config\.toml"):
        read_config("[search]\nx = 1", place="s3://b/config.toml")


def test_read_toml_gives_plain_tables(tmp_path: Path) -> None:
    path = _file(tmp_path, "[data]\ntrain = ['a']\n")
    assert read_toml(str(path)) == {"data": {"train": ["a"]}}
