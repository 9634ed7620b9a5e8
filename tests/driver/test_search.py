from __future__ import annotations

import io
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console
from tiny_runs import content_of, tiny_config

from lfs_ray.config.sections import Config, RunConfig
from lfs_ray.driver.plan_text import describe
from lfs_ray.driver.run_directory import new_run_url, with_absolute_paths
from lfs_ray.driver.search import Request, search
from lfs_ray.training.material import open_material


def test_the_resolved_configuration_reproduces_the_run(finished: Path) -> None:
    content = tomllib.loads((finished / "config.toml").read_text())
    assert content["run"]["name"] == "finished"
    assert content["worker"]["device"] == "cpu"
    assert sorted(content["populations"]) == ["am", "main"]
    assert content["search"]["seed"] == 0


def test_a_search_returns_where_it_wrote(faces: str, tmp_path: Path) -> None:
    text = io.StringIO()
    request = Request(config=tiny_config(faces, search={"rounds": 1}), run_dir=str(tmp_path / "r"))
    url = search(request, Console(file=text, width=80))
    assert url == str(tmp_path / "r")
    lines = text.getvalue().splitlines()
    assert any(line.startswith("main: round 1/1, best reward 0.") for line in lines)
    assert lines[-1] == f"Trials: lfs-ray trials {url}    Results: {url}/results.csv"


def test_a_dry_run_of_an_unfinished_run_changes_nothing(faces: str, tmp_path: Path) -> None:
    config = tiny_config(faces, search={"rounds": 1}, optimizer={"schedule": "constant"})
    longer = tiny_config(faces, search={"rounds": 2}, optimizer={"schedule": "constant"})
    run, console = str(tmp_path / "r"), Console(file=io.StringIO())
    search(Request(config=config, run_dir=run), console)
    before = content_of(tmp_path)
    search(Request(config=longer, run_dir=run, resume="must", dry_run=True), console)
    assert content_of(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "file", "url"),
    [
        ("", "experiments/faces.toml", "out/faces-20260102-030405"),
        ("", None, "out/example-20260102-030405"),
        ("mine", "faces.toml", "out/mine"),
    ],
)
def test_a_new_run_is_named_after_its_file_and_the_time(
    name: str, file: str | None, url: str
) -> None:
    config = Config(run=RunConfig(dir="out/", name=name))
    assert new_run_url(config, file, datetime(2026, 1, 2, 3, 4, 5)) == url


def test_paths_mean_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = {
        "train": ["faces", "/far/faces"],
        "lists": ["", "list.txt"],
        "validation_images": "s3://bucket/faces",
        "validation_pairs": "../pairs.tsv",
    }
    config = with_absolute_paths(
        tiny_config("", data=data, report={"few": {"images": "i", "pairs": "p"}})
    )
    assert config.data.train == (f"{tmp_path}/faces", "/far/faces")
    assert config.data.lists == ("", f"{tmp_path}/list.txt")
    assert config.data.validation_images == "s3://bucket/faces"
    assert config.data.validation_pairs == f"{tmp_path.parent}/pairs.tsv"
    assert config.report["few"].images == f"{tmp_path}/i"


def test_the_plan_names_every_population_and_its_length(faces: str) -> None:
    loss = {"loss": {"name": "arcface"}, "search": {"policy": "fixed", "members": 1}}
    config = tiny_config(faces, populations={"a": {"search": {"rounds": 4}}, "b": loss})
    text = describe(config, open_material(config), "runs/x")
    assert "Population a: pgpe on global (margin), 4 rounds x 2 members x 24 images" in text
    assert "= 192 images, 2.00 lineage epochs, margin 0." in text
    # A hand-made loss has no space, and arcface's angle is no margin in cosine.
    assert "Population b: fixed on arcface, 2 rounds x 1 members x 24 images" in text
    assert text.endswith("= 48 images, 1.00 lineage epochs")
