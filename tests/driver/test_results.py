from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lfs_ray.training.checkpoint import decode
from lfs_ray.trials.read import read_trials


def test_the_table_has_a_row_for_each_population(finished: Path) -> None:
    table = pd.read_csv(finished / "results.csv", index_col="population")
    assert sorted(table.index) == ["am", "main"]
    trials = read_trials(finished)
    for name, row in table.iterrows():
        own = trials.loc[name]
        last = own[own["selected"]].iloc[-1]
        assert row["reward"] == last["reward"]
        assert row["reward_se"] == last["reward_se"]
        assert row["method"] == last["method"]
        assert row["lineage_epochs"] == last["epochs"] == 1.0
        assert row["trained_epochs"] == pytest.approx(len(own) * 0.5)
    assert table.loc["am", "margin"] == 0.35


def test_scores_hold_every_pair_for_paired_statistics(finished: Path) -> None:
    scores = pd.read_parquet(finished / "scores" / "few.parquet")
    assert list(scores.columns) == [
        "population",
        "pair",
        "fold",
        "same",
        "first",
        "second",
        "first_identity",
        "second_identity",
        "score",
        "correct",
    ]
    table = pd.read_csv(finished / "results.csv", index_col="population")
    for name, own in scores.groupby("population"):
        assert own["pair"].tolist() == list(range(8))
        accuracy = own.groupby("fold")["correct"].mean().mean()
        assert table.loc[name, "few_accuracy"] == pytest.approx(accuracy)
        assert table.loc[name, "few_se"] >= 0.0
        assert own["score"].between(-1.0, 1.0).all()
        alike = own["first_identity"] == own["second_identity"]
        np.testing.assert_array_equal(alike, own["same"])
    first = scores.iloc[0]
    assert (first["first"], first["second"]) == ("p00000/000.jpg", "p00000/001.jpg")


def test_a_final_model_says_where_it_comes_from(finished: Path) -> None:
    _, facts = decode((finished / "populations/main/model.safetensors").read_bytes(), name="m")
    last = read_trials(finished).loc["main"].query("selected").iloc[-1]
    assert (facts["population"], facts["round"]) == ("main", 1)
    assert facts["theta"] == [last["theta_margin"]]
    assert (facts["reward"], facts["epochs"]) == (last["reward"], last["epochs"])


def test_the_run_keeps_what_it_was_computed_with(finished: Path) -> None:
    environment = (finished / "environment.toml").read_text()
    for word in ("lfs_ray", "torch", "digest", "reward_pairs"):
        assert word in environment
    assert "validation_labels" in (finished / "split.json").read_text()
