"""The trial table as text and CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from trial_rows import make_row, make_rows

from lfs_ray.errors import ConfigError, RunError
from lfs_ray.trials.read import to_frame
from lfs_ray.trials.rounds import encode_round, read_table
from lfs_ray.trials.table import format_trials, sorted_trials, write_csv


def table(*rounds: list[dict], theta: tuple[str, ...] = ("margin",)) -> pd.DataFrame:
    return to_frame([read_table(encode_round(rows, theta, {})) for rows in rounds])


@pytest.fixture
def frame() -> pd.DataFrame:
    """Rewards .5 .7 nan .7 in round 0, and .6 .6 in round 1."""
    rows = [*make_rows(0, 2), make_row(0, 2, failed=True), make_row(0, 3)]
    for row, reward in zip(rows, [0.5, 0.7, None, 0.7], strict=True):
        row["reward"] = reward
    later = [row | {"reward": 0.6} for row in make_rows(1, 2)]
    return table(rows, later)


def members(frame: pd.DataFrame) -> list[tuple[int, int]]:
    return [key[1:] for key in frame.index]


def test_best_rewards_come_first_and_failed_ones_last(frame: pd.DataFrame) -> None:
    expected = [(0, 1), (0, 3), (1, 0), (1, 1), (0, 0), (0, 2)]
    assert members(sorted_trials(frame, "reward")) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("member", [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (0, 3)]),
        ("worker", [(0, 0), (0, 2), (1, 0), (0, 1), (0, 3), (1, 1)]),
        ("status", [(0, 2), (0, 0), (0, 1), (0, 3), (1, 0), (1, 1)]),
        ("selected", [(0, 0), (1, 0), (0, 1), (0, 2), (0, 3), (1, 1)]),
        ("parent_round", [(1, 0), (1, 1), (0, 0), (0, 1), (0, 2), (0, 3)]),
        ("started_at", [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]),
    ],
)
def test_any_column_or_index_level_sorts(
    frame: pd.DataFrame, column: str, expected: list[tuple[int, int]]
) -> None:
    assert members(sorted_trials(frame, column)) == expected


def test_an_unknown_column_is_refused_with_the_nearest(frame: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match="did you mean reward or reward_se") as caught:
        format_trials(frame, "rewards")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="use one of population, round, member, method"):
        format_trials(frame, "zzzzzz")


def test_text_has_a_line_a_trial(frame: pd.DataFrame) -> None:
    lines = format_trials(frame).splitlines()
    assert len(lines) == 7
    assert lines[0].split()[:7] == [
        "population",
        "round",
        "member",
        "status",
        "reward",
        "reward_se",
        "advantage",
    ]
    assert lines[2].split()[:5] == ["search", "0", "1", "ok", "0.7000"]
    assert lines[3].split()[3:6] == ["failed", "-", "-"]


def test_errors_are_shown_where_there_are_some_on_one_line(frame: pd.DataFrame) -> None:
    text = format_trials(frame)
    assert text.splitlines()[3].endswith("loss became nan at step 7")
    assert "error" not in format_trials(frame[frame["status"] == "ok"])
    frame.loc[("search", 0, 2), "error"] = "x" * 200
    assert format_trials(frame).splitlines()[3].endswith(" " + "x" * 57 + "...")


def test_selected_trials_are_starred(frame: pd.DataFrame) -> None:
    lines = format_trials(frame).splitlines()[1:]
    assert ["*" in line.split() for line in lines] == [True, False, False, False, True, False]


def test_the_column_of_the_sort_is_shown(frame: pd.DataFrame) -> None:
    assert "seed" not in format_trials(frame).splitlines()[0].split()
    assert "seed" in format_trials(frame, "seed").splitlines()[0].split()


def test_theta_is_shown_where_it_is_short_and_not_the_margin_again() -> None:
    for names, shown in [(("margin",), []), (("a", "b"), ["theta_a", "theta_b"])]:
        head = format_trials(table([make_row(0, 0, theta_names=names)], theta=names)).split("\n")[
            0
        ]
        assert [word for word in head.split() if word.startswith("theta")] == shown
    bins = tuple(f"margin_{number}" for number in range(10))
    assert "theta" not in format_trials(table([make_row(0, 0, theta_names=bins)], theta=bins))


def test_an_empty_table_says_so() -> None:
    assert "no round has been committed" in format_trials(to_frame([]))
    assert "no round has been committed" in format_trials(to_frame([]), "reward")


def test_csv_keeps_every_value(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    write_csv(frame, path)
    back = pd.read_csv(path, index_col=[0, 1, 2])
    assert list(back.columns) == list(frame.columns)
    assert back.index.equals(frame.index)
    floats = frame.select_dtypes("float64").columns
    numbers = back[floats].set_axis(frame.index)
    pd.testing.assert_frame_equal(numbers, frame[floats], check_exact=True)
    assert back["seed"].tolist() == frame["seed"].tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["trials.csv"]


def test_a_full_disk_leaves_the_old_file(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trials.csv"
    path.write_text("old")

    def write_half(_: pd.DataFrame, target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", write_half)
    with pytest.raises(RunError, match="No space left on device"):
        write_csv(frame, path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        ("trials.csv", "old")
    ]


def test_the_file_is_replaced_not_rewritten(frame: pd.DataFrame, tmp_path: Path) -> None:
    path, reader = tmp_path / "trials.csv", tmp_path / "open"
    path.write_text("old")
    reader.hardlink_to(path)
    write_csv(frame, path)
    assert reader.read_text() == "old"


def test_a_folder_that_is_not_there_is_one_line(frame: pd.DataFrame, tmp_path: Path) -> None:
    for path in (tmp_path / "absent" / "t.csv", tmp_path):
        with pytest.raises(RunError, match="--csv must name a file") as caught:
            write_csv(frame, path)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
