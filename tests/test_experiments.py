"""Every file in experiments/ is complete and consistent: `--dry-run` on a small stand-in set."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import lfs_ray, write_faces, write_pairs

FOLDER = Path(__file__).parents[1] / "experiments"
FILES = sorted(FOLDER.glob("*.toml"))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Eight people to train on, and pairs of others' pictures."""
    folder = tmp_path_factory.mktemp("stand_in")
    return {"faces": write_faces(folder), "pairs": write_pairs(folder / "pairs.tsv")}


def _flags(table: dict[str, Any], stand_in: dict[str, str]) -> list[str]:
    """The flags that put the stand-in in the place of the data that a file names."""
    faces, pairs = stand_in["faces"], stand_in["pairs"]
    flags = ["--worker.executor", "serial"]
    if table.get("data", {}).get("train"):
        flags += ["--data.train", faces, "--data.validation_images", faces]
        flags += ["--data.validation_pairs", pairs]
    for name in table.get("report", {}):
        flags += [f"--report.{name}.images", faces, f"--report.{name}.pairs", pairs]
        flags += [f"--report.{name}.shares_people", "true"]
    return flags


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dry_run(
    path: Path,
    stand_in: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    table = tomllib.loads(path.read_text())
    command = "compare" if "methods" in table else "search"
    words = [str(path), "--run-dir", str(tmp_path / "run"), "--dry-run"]
    assert lfs_ray(command, *words, *_flags(table, stand_in)) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for name in table.get("methods", table.get("populations", {"main": {}})):
        assert f" {name}: " in printed.out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_its_question_and_stands_in_the_list(path: Path) -> None:
    assert path.read_text().startswith("# Question: ")
    assert f"[{path.name}]({path.name})" in (FOLDER / "README.md").read_text()


def test_the_papers_epochs_are_the_confirmed_ones() -> None:
    expected = {"casia": (30, [9.0, 18.0, 26.0]), "ms1m": (12, [4.0, 8.0, 10.0])}
    for key, (epochs, milestones) in expected.items():
        for kind in ("search_softmax", "released", "am_lfs"):
            table = tomllib.loads((FOLDER / f"{kind}_{key}.toml").read_text())
            assert table["search"]["rounds"] * table["search"]["round_epochs"] == epochs
            optimizer = table["optimizer"]
            assert optimizer["milestones_epochs"] == milestones
            assert (optimizer["batch_size"], optimizer["learning_rate"]) == (128, 0.1)
            assert optimizer["weight_decay"] == 5e-4
            assert table["search"]["members"] == (32 if kind == "am_lfs" else 4)
