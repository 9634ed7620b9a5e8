"""Run directories become one table: types, order, several runs, and what is not a run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from trial_rows import START, make_blob, make_row, make_rows

import lfs_ray
from lfs_ray.errors import RunError
from lfs_ray.storage import Storage
from lfs_ray.trials.ownership import compacted_name, round_name
from lfs_ray.trials.read import read_trials, to_frame
from lfs_ray.trials.rounds import encode_round, merge_rounds, read_table
from lfs_ray.trials.schema import column_names


def make_run(
    folder: Path, populations: Sequence[str] = ("search",), first_rounds: Sequence[int] = (0,)
) -> Path:
    """An empty run with generations 1, 2, ... that start at these rounds."""
    (folder / "generations").mkdir(parents=True)
    (folder / "config.toml").write_text("")
    for number, first in enumerate(first_rounds, start=1):
        content = {
            "generation": number,
            "id": "x",
            "first_round": dict.fromkeys(populations, first),
        }
        (folder / "generations" / f"{number:06d}.json").write_text(json.dumps(content))
    for name in populations:
        (folder / "populations" / name / "trials").mkdir(parents=True)
    return folder


def put(
    run: Path, round_number: int, rows: list[dict], theta: Sequence[str] = ("margin",)
) -> None:
    blob = encode_round(rows, theta, {})
    trials = run / "populations" / str(rows[0]["population"]) / "trials"
    (trials / round_name(round_number, 1)).write_bytes(blob)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three rounds of four members; member 3 of round 1 failed."""
    folder = make_run(tmp_path / "first")
    for number in (2, 0, 1):
        rows = make_rows(number)
        if number == 1:
            rows[3] = make_row(1, 3, failed=True)
        put(folder, number, rows[::-1])
    return folder


def test_the_index_is_sorted_and_columns_are_in_schema_order(run: Path) -> None:
    frame = read_trials(run)
    assert frame.index.names == ["population", "round", "member"]
    expected = [("search", number, member) for number in range(3) for member in range(4)]
    assert list(frame.index) == expected
    assert list(frame.columns) == column_names(["margin"])[1:2] + column_names(["margin"])[4:]


def test_types_are_sensible(run: Path) -> None:
    types = read_trials(run).dtypes.astype(str).to_dict()
    for name in ("method", "status", "worker", "host", "device"):
        assert types.pop(name) == "category"
    for name in ("parent_round", "parent_member", "attempts"):
        assert types.pop(name) == "Int32"
    assert (types.pop("selected"), types.pop("seed")) == ("bool", "int64")
    assert types.pop("started_at") == "datetime64[us, UTC]"
    assert {types.pop("checkpoint"), types.pop("error")} <= {"str", "object"}
    assert set(types.values()) == {"float64"}


def test_values_and_missing_values(run: Path) -> None:
    frame = read_trials(run)
    failed = frame.loc["search", 1, 3]
    assert (failed["status"], failed["error"]) == ("failed", "loss became nan\nat step 7")
    assert math.isnan(failed["reward"])
    assert frame.loc[("search", 0), "parent_round"].isna().all()
    assert frame.loc[("search", 2), "parent_round"].tolist() == [1] * 4
    good = frame.loc["search", 2, 1]
    assert good["reward"] == make_row(2, 1)["reward"]
    assert good["seed"] == 2**62 + 2001
    assert pd.isna(good["error"])
    assert frame.loc["search", 0, 0]["started_at"] == START
    assert frame["reward"].idxmax() == ("search", 2, 3)


def test_theta_columns_are_the_union_over_populations(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ("local", "fixed"))
    put(run, 0, [make_row(0, 0, population="fixed", theta_names=["m"])], ["m"])
    bins = ["margin_0", "margin_1"]
    put(run, 0, [make_row(0, 0, population="local", theta_names=bins)], bins)
    frame = read_trials(run)
    # Populations come in order of name, and so do their theta columns.
    names = [str(name) for name in frame.columns if str(name).startswith("theta_")]
    assert names == ["theta_m", "theta_margin_0", "theta_margin_1"]
    assert frame["theta_m"].isna().tolist() == [False, True]
    assert frame["theta_margin_1"].isna().tolist() == [True, False]
    assert list(frame.index.get_level_values("population")) == ["fixed", "local"]


def test_several_runs_have_a_run_level(run: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "second")
    put(other, 0, make_rows(0, 2))
    frame = read_trials([run, str(other) + "/"])
    assert frame.index.names == ["run", "population", "round", "member"]
    assert frame.groupby(level="run").size().to_dict() == {"first": 12, "second": 2}
    pd.testing.assert_frame_equal(frame.loc["first"], read_trials(run))
    assert read_trials([run]).index.names[0] == "run"
    pd.testing.assert_frame_equal(read_trials([other, run]), frame)


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / place / "run") for place in ("a", "b")]
    for folder in runs:
        put(folder, 0, make_rows(0, 1))
    levels = read_trials(runs).index.get_level_values("run")
    assert list(levels) == [str(folder) for folder in runs]


@pytest.mark.parametrize("several", [False, True])
def test_a_run_without_rounds_is_an_empty_table(tmp_path: Path, several: bool) -> None:
    run = make_run(tmp_path / "run")
    frame = read_trials([run] if several else run)
    assert frame.empty
    assert frame.index.names == ["run"] * several + ["population", "round", "member"]
    assert str(frame["reward"].dtype) == "float64"


def test_orphans_files_and_foreign_files_are_not_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", first_rounds=(0, 2))
    trials = run / "populations" / "search" / "trials"
    for number in range(4):
        (trials / round_name(number, 1)).write_bytes(make_blob(number, members=1))
    (trials / round_name(2, 2)).write_bytes(make_blob(2, members=3))
    (trials / "notes.txt").write_text("mine")
    assert [key[1:] for key in read_trials(run).index] == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]


def test_only_the_owners_part_of_a_compacted_file_is_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", first_rounds=(0, 2))
    trials = run / "populations" / "search" / "trials"
    merged = merge_rounds([(make_blob(number, members=1), number, number) for number in range(4)])
    (trials / compacted_name(0, 3, 1)).write_bytes(merged)
    (trials / round_name(2, 2)).write_bytes(make_blob(2, members=2))
    assert [key[1:] for key in read_trials(run).index] == [(0, 0), (1, 0), (2, 0), (2, 1)]


def test_files_compacted_while_being_read_are_found_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_trials(run)
    trials = run / "populations" / "search" / "trials"
    read = Storage.read

    def compact_then_read(storage: Storage, name: str) -> bytes:
        singles = [trials / round_name(number, 1) for number in range(3)]
        if name.endswith(round_name(1, 1)):
            parts = [(file.read_bytes(), n, n) for n, file in enumerate(singles)]
            (trials / compacted_name(0, 2, 1)).write_bytes(merge_rounds(parts))
            for file in singles:
                file.unlink()
        return read(storage, name)

    monkeypatch.setattr(Storage, "read", compact_then_read)
    pd.testing.assert_frame_equal(read_trials(run), expected)


def test_rounds_that_vanish_again_and_again_are_reported(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = run / "populations" / "search" / "trials"
    listed = sorted(os.listdir(trials))
    (trials / round_name(1, 1)).unlink()
    monkeypatch.setattr(
        Storage,
        "list",
        lambda storage, folder="": {
            "populations": ["search"],
            "generations": ["000001.json"],
            "populations/search/trials": listed,
        }[folder],
    )
    with pytest.raises(RunError, match="removed while being read, 5 times") as caught:
        read_trials(run)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, found in [("folder", "no config.toml in it"), ("absent", "nothing there")]:
        with pytest.raises(RunError, match=f"must be a run directory, found {found}") as caught:
            read_trials(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    with pytest.raises(RunError, match="at least one"):
        read_trials([])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"generation": 1, "first_round": 0}'])
def test_a_broken_generation_is_one_line(run: Path, text: str) -> None:
    (run / "generations" / "000001.json").write_text(text)
    with pytest.raises(RunError, match=r"000001\.json must name a generation") as caught:
        read_trials(run)
    assert "\n" not in str(caught.value)


def test_a_broken_round_file_is_named(run: Path) -> None:
    (run / "populations" / "search" / "trials" / round_name(1, 1)).write_bytes(b"PAR1")
    with pytest.raises(RunError, match=r"round-000001\.g000001\.parquet must be a Parquet file"):
        read_trials(run)


def test_a_uri_reads_as_the_path_does(run: Path) -> None:
    pd.testing.assert_frame_equal(read_trials(run.as_uri()), read_trials(run))


def test_it_is_the_public_name(run: Path) -> None:
    assert lfs_ray.read_trials is read_trials


def test_a_file_of_version_1_still_loads() -> None:
    blob = (Path(__file__).parents[1] / "golden" / "trials_v1.parquet").read_bytes()
    frame = to_frame([read_table(blob)])
    assert list(frame.columns) == [
        name for name in column_names(["margin"]) if name not in frame.index.names
    ]
    assert list(frame["status"]) == ["ok"] * 5 + ["failed"] + ["ok"] * 3
    assert frame.loc["search", 2, 1]["reward"] == make_row(2, 1)["reward"]
