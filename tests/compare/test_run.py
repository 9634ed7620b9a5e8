"""A whole comparison on a few synthetic faces, serial."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_comparisons import Table, run_comparison, write_table

import lfs_ray
from lfs_ray.cli import run
from lfs_ray.errors import RunError
from lfs_ray.trials.comparison_table import COLUMNS
from lfs_ray.trials.read import read_trials

METHODS = ["normface", "search", "am_tuned", "am_selection", "random", "search_replayed"]
RESULTS = ["population", "round", "member", "reward", "theta_margin"]


def _table(folder: Path) -> pd.DataFrame:
    return lfs_ray.read_comparison(folder)


def _rows(folder: Path) -> pd.DataFrame:
    rows = read_trials(str(folder)).reset_index()[RESULTS]
    return rows.sort_values(RESULTS[:3]).reset_index(drop=True)


def test_tables_hold_every_method_at_equal_budget_and_at_equal_length(finished: Path) -> None:
    table = _table(finished)
    assert list(table.columns) == ["table", *COLUMNS]
    for _, part in table.groupby("table"):
        assert list(part["method"]) == METHODS
        assert (part["lineage_epochs"] == 1.0).all()
        assert (part["verdict"] == "best baseline").sum() == 1
    budget = table[table["table"] == "Equal budget"].set_index("method")
    assert budget.loc[METHODS[:-1], "trained_epochs"].tolist() == [2.0] * 5
    assert budget.loc["search_replayed", "trained_epochs"] == 3.0
    assert budget["restarts"].tolist() == [2, 1, 2, 1, 2, 1]
    length = table[table["table"] == "Equal lineage length"].set_index("method")
    assert length.loc["normface", "trained_epochs"] == 1.0


def test_the_chosen_restart_has_the_best_reward(finished: Path) -> None:
    rows = read_trials(str(finished)).reset_index()
    last = rows[(rows["round"] == 1) & rows["selected"]].set_index("population")["reward"]
    chosen = [last[last.index.str.startswith(f"normface_s{seed}")].max() for seed in (0, 1)]
    table = _table(finished).set_index(["table", "method"])
    found = table.loc[("Equal budget", "normface"), "reward_mean"]
    assert found == pytest.approx(sum(chosen) / 2)


def test_markdown_and_page_show_the_tables(finished: Path) -> None:
    text = (finished / "comparison.md").read_text()
    page = (finished / "comparison.html").read_text()
    for content in (text, page):
        assert "Equal lineage length" in content
        assert all(method in content for method in METHODS)


def test_a_finished_comparison_takes_another_method_and_keeps_the_others(
    finished: Path, table: Table, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    more = {**table, "methods": {**table["methods"], "arc": {"loss": {"name": "arcface"}}}}
    folder = run_comparison(more, tmp_path, "--resume", "must")
    before, after = _rows(finished), _rows(folder)
    kept = after[~after["population"].str.startswith("arc_")].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)
    assert "arc" in set(_table(folder)["method"])
    accuracies = [
        one.set_index(["table", "method"])["mean"] for one in (_table(finished), _table(folder))
    ]
    pd.testing.assert_series_equal(accuracies[1][accuracies[0].index], accuracies[0])


def test_a_method_gives_the_same_rows_alone_as_beside_others(
    finished: Path, table: Table, tmp_path: Path
) -> None:
    alone = {**table, "methods": {"search": table["methods"]["search"]}}
    alone["compare"] = {**table["compare"], "seeds": [1]}
    rows, all_rows = _rows(run_comparison(alone, tmp_path)), _rows(finished)
    mine = all_rows[all_rows["population"].isin(rows["population"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, mine)


def test_an_interrupted_comparison_ends_as_if_nothing_had_happened(
    finished: Path, tmp_path: Path
) -> None:
    # Cut off in the replays: their last rounds and all that comes after the training.
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    for path in folder.glob("populations/search_replayed_*/trials/*"):
        if "000001" in path.name:
            path.unlink()
    for name in ("comparison.csv", "comparison.md", "scores/own.parquet"):
        (folder / name).unlink()
    assert run(["compare", "--run-dir", str(folder), "--resume", "must"]) == 0
    pd.testing.assert_frame_equal(_table(folder), _table(finished))
    pd.testing.assert_frame_equal(_rows(folder), _rows(finished))


def test_a_finished_comparison_is_left_alone(
    finished: Path, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [write_table(table, tmp_path), "--run-dir", str(finished)]
    assert run(["compare", *words]) == 0
    assert "is finished: nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"report": {}}, ["a comparison must have a report set, got none"]),
        ({"methods": {}}, ["a comparison must have methods, got none"]),
        (
            {"methods": {"a": {"loss": {"name": "arcfase"}}, "b": {"loss": {"margin": 0.2}}}},
            [
                "loss.name must be one of ",
                "options of loss 'global' must be among probability_space, found margin = 0.2 in",
            ],
        ),
        (
            {"methods": {"am": {"loss": {"name": "am_softmax"}, "margins": [0.1, 2.5]}}},
            ["option margin of loss 'am_softmax' must be in [0, 2), found 2.5 in population am"],
        ),
        (
            {
                "compare": {"seeds": [1, 1]},
                "methods": {"a": {"loss": {"name": "x"}}},
                "report": {},
            },
            [
                "compare.seeds must be different numbers, got [1, 1]",
                "loss.name must be one of ",
                "a comparison must have a report set, got none",
            ],
        ),
        ({"compare": {"budget_epochs": 0.0}}, ["compare.budget_epochs must be above 0, got 0.0"]),
    ],
)
def test_mistakes_are_one_line_each_and_nothing_is_written(
    table: Table,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Table,
    lines: list[str],
) -> None:
    file = write_table({**table, **change}, tmp_path)
    assert run(["compare", file, "--run-dir", str(tmp_path / "run")]) == 1
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == len(lines)
    for found, line in zip(printed, lines, strict=True):
        assert found.startswith(f"lfs-ray: error: {line}")
    assert not (tmp_path / "run").exists()


def test_report_people_must_be_nobody_trained_on(
    table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = {"own": {**table["report"]["own"], "shares_people": False}}
    file = write_table({**table, "report": report}, tmp_path)
    assert run(["compare", file, "--run-dir", str(tmp_path / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "lfs-ray: error: report.own must share no people with the training and reward sets, "
        "found 8 by the names of their folders: p00000, p00001, "
    )
    assert not (tmp_path / "run").exists()


def test_a_table_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"must hold a finished comparison, found no "):
        lfs_ray.read_comparison(tmp_path)
