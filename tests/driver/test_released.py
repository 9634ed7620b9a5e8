"""A search as the released code of Search-Softmax did it, from the command line to the model."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest
from tiny_runs import lfs_ray, write_config, write_pairs

import lfs_ray as package
from lfs_ray.training.model_file import load_backbone

RELEASED = {"compat": ["released"], "round_epochs": 1.0, "rounds": 4, "members": 2}
POPULATIONS = {
    "released": {"search": RELEASED},
    "plain": {"search": {"rounds": 1}},
}


@pytest.fixture(scope="module")
def run(faces: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    pairs = write_pairs(folder / "pairs.tsv")
    report = {"few": {"images": faces, "pairs": pairs, "shares_people": True}}
    config = write_config(folder, faces, populations=POPULATIONS, report=report)
    assert lfs_ray("search", config, "--run-dir", str(folder / "run")) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def table(run: Path) -> pd.DataFrame:
    return package.read_trials(str(run)).loc["released"]


def test_its_mean_stays_exactly_zero(table: pd.DataFrame) -> None:
    assert (table["policy_mean_a_raw"] == 0.0).all()
    assert (table["policy_std_a_raw"] == 0.2).all()


def test_its_first_two_epochs_are_not_searched(table: pd.DataFrame) -> None:
    first = table.loc[[0, 1]]
    assert len(first) == 4
    assert (first["theta_a_raw"] == -1.0).all()
    later = table.loc[[2, 3]]["theta_a_raw"]
    assert later.nunique() == 4
    assert (later <= 0.0).all()


def test_its_members_go_on_from_themselves_for_three_epochs(table: pd.DataFrame) -> None:
    parents = table["parent_member"]
    assert parents.loc[0].isna().all()
    assert [parents.loc[number].tolist() for number in (1, 2)] == [[0, 1], [0, 1]]
    winner = table.loc[2].index[table.loc[2]["selected"]][0]
    assert parents.loc[3].tolist() == [winner, winner]
    assert table.loc[0]["train_loss"].nunique() == 2


def test_its_trials_all_have_checkpoints(table: pd.DataFrame) -> None:
    assert table["checkpoint"].notna().all()


def test_models_carry_their_own_pixels(run: Path) -> None:
    colours = {}
    for name in POPULATIONS:
        path = run / "populations" / name / "model.safetensors"
        colours[name] = load_backbone(path.read_bytes(), name=name)[1].colour
    assert colours == {"released": "bgr", "plain": "rgb"}


def test_its_configuration_says_what_was_done(run: Path) -> None:
    content = tomllib.loads((run / "config.toml").read_text())
    search = content["populations"]["released"]["search"]
    assert "released" not in search["compat"]
    assert {"selection_only", "keep_momentum", "lfs_pixels"} <= set(search["compat"])
    assert (search["space"], search["shaping"]) == ("released-global", "range")
    assert content["populations"]["released"]["loss"]["options"] == ["probability_space=true"]
    assert content["model"]["colour"] == "rgb"


def test_a_report_is_the_same_by_the_models_own_file(run: Path, capsys: object) -> None:
    results = pd.read_csv(run / "results.csv", index_col="population")
    assert results["few_accuracy"].between(0.0, 1.0).all()
    assert lfs_ray("search", "--run-dir", str(run), "--resume", "must") == 0
