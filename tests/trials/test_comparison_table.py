"""The table's columns and values, and what it looks like as CSV, Markdown and HTML."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from simulated_methods import Simulation

from lfs_ray.trials.comparison_html import html_page
from lfs_ray.trials.comparison_table import COLUMNS, comparison_frame, frame_csv
from lfs_ray.trials.comparison_text import READING, display_tables, markdown
from lfs_ray.trials.corrections import holm, mcnemar_over_seeds
from lfs_ray.trials.forest_plot import forest_plot
from lfs_ray.trials.report_set import ReportSet

NASTY = "<script>alert('x')</script> | \"a\" & *b*"
SIMULATION = Simulation(methods=4, baselines=2, shifts=(0, 0, 1.2, -1.2), seed_sd=0.03)


def report_set(name: str = "faces", *, seeds: int = 3, method: str = "search") -> ReportSet:
    """Two equal baselines, a far better and a far worse method."""
    drawn = replace(SIMULATION, seeds=seeds).draw(1)
    names = "tuned", "selection", method, "plain"
    methods = tuple(
        replace(
            one, method=new, restarts=2, lineage_epochs=5.0, trained_epochs=40.0, margin=margin
        )
        for one, new, margin in zip(drawn.methods, names, (0.35, 0.35, math.nan, 0), strict=True)
    )
    return replace(drawn, name=name, methods=methods)


def frame_of(*sets: ReportSet) -> pd.DataFrame:
    return comparison_frame(sets, samples=100, seed=0)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return frame_of(report_set("faces"), report_set("other faces", seeds=2))


def test_columns_are_api(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == [
        "method", "report_set", "mean", "sd", "ci_low", "ci_high", "difference", "diff_low",
        "diff_high", "p_holm", "mcnemar_p", "verdict", "reward_mean", "reward_sd", "seeds",
        "restarts", "lineage_epochs", "trained_epochs", "margin",
    ]  # fmt: skip
    assert list(frame.columns) == list(COLUMNS)


def test_each_method_has_a_row_a_report_set(frame: pd.DataFrame) -> None:
    names = ["tuned", "selection", "search", "plain"]
    assert frame["method"].tolist() == 2 * names
    assert frame["report_set"].tolist() == ["faces"] * 4 + ["other faces"] * 4
    assert frame["seeds"].tolist() == [3] * 4 + [2] * 4


def test_values_are_those_of_the_scores(frame: pd.DataFrame) -> None:
    one, rows = report_set("faces"), frame[:4]
    assert_allclose(rows["mean"], one.accuracy_MS.mean(axis=1))
    assert_allclose(rows["sd"], one.accuracy_MS.std(axis=1, ddof=1))
    rewards = np.stack([scores.reward_S for scores in one.methods])
    assert_allclose(rows["reward_mean"], rewards.mean(axis=1))
    assert_allclose(rows["reward_sd"], rewards.std(axis=1, ddof=1))
    best = rows["verdict"].tolist().index("best baseline")
    assert best == int(rewards[:2].mean(axis=1).argmax())
    assert_allclose(rows["difference"].drop(best), (rows["mean"] - rows["mean"][best]).drop(best))
    expected = mcnemar_over_seeds(one.methods[3].correct_SP, one.methods[best].correct_SP)
    assert rows["mcnemar_p"][3] == expected
    assert rows[["restarts", "lineage_epochs", "trained_epochs"]].to_numpy().tolist() == (
        [[2, 5, 40]] * 4
    )


def test_the_best_baseline_is_compared_with_nothing(frame: pd.DataFrame) -> None:
    best = frame[frame["verdict"] == "best baseline"]
    assert len(best) == 2
    missing = ["difference", "diff_low", "diff_high", "p_holm", "mcnemar_p"]
    assert best[missing].isna().all(axis=None)


def test_the_other_baseline_is_compared_too(frame: pd.DataFrame) -> None:
    verdicts = dict(zip(frame["method"][:4], frame["verdict"][:4], strict=True))
    assert {verdicts.pop("tuned"), verdicts.pop("selection")} == {
        "best baseline",
        "not distinguishable",
    }
    assert verdicts == {"search": "better", "plain": "worse"}


def test_p_values_are_corrected_over_the_methods_of_a_report_set(frame: pd.DataFrame) -> None:
    # The smallest is three times a p-value that Holm would leave alone with one method.
    alone = report_set("faces")
    best = frame["verdict"][:4].tolist().index("best baseline")
    pair = tuple(alone.methods[index] for index in (best, 2))
    two = frame_of(replace(alone, methods=pair))["p_holm"].dropna()
    assert len(two) == 1
    p_values = frame["p_holm"][:4].dropna()
    assert len(p_values) == 3
    assert holm(p_values.tolist()) != tuple(p_values)


def test_a_report_set_gives_the_same_rows_alone(frame: pd.DataFrame) -> None:
    alone = frame_of(report_set("other faces", seeds=2))
    pd.testing.assert_frame_equal(alone, frame[4:].reset_index(drop=True))


def test_one_seed_claims_nothing() -> None:
    frame = frame_of(report_set(seeds=1))
    assert set(frame["verdict"]) == {"best baseline", "not distinguishable (one seed)"}
    unknown = ["sd", "ci_low", "ci_high", "diff_low", "diff_high", "p_holm", "reward_sd"]
    assert frame[unknown].isna().all(axis=None)
    assert frame[["mean", "reward_mean"]].notna().all(axis=None)
    shown = markdown(frame)
    assert "interval" not in shown
    assert "nan" not in shown + html_page("t", [("h", frame)])


def test_csv_keeps_every_digit(frame: pd.DataFrame) -> None:
    lines = list(csv.DictReader(io.StringIO(frame_csv(frame))))
    for line, row in zip(lines, frame.to_dict("records"), strict=True):
        for column, value in row.items():
            if isinstance(value, str):
                assert line[column] == value
            else:
                assert line[column] == "" if math.isnan(value) else float(line[column]) == value


def test_markdown_is_aligned_and_in_percent(frame: pd.DataFrame) -> None:
    text = markdown(frame)
    lines = text.splitlines()
    assert lines[0] == "**faces**"
    table = lines[2:8]
    assert len({len(line) for line in table}) == 1
    bars = [[i for i, sign in enumerate(line) if sign == "|"] for line in table]
    assert all(each == bars[0] for each in bars)
    row = frame.iloc[2]
    search = next(line for line in table if "search" in line)
    assert f"{100 * row['mean']:.2f} \u00b1 {100 * row['sd']:.2f}" in search
    assert f"{100 * row['diff_low']:+.2f} to {100 * row['diff_high']:+.2f}" in search
    assert "better" in search
    assert "**other faces**" in lines


def test_small_p_values_are_not_shown_as_0() -> None:
    frame = frame_of(report_set())
    frame.loc[frame["method"] == "search", "p_holm"] = 1e-9
    assert "< 0.001" in markdown(frame)


def test_a_column_without_any_value_is_left_out(frame: pd.DataFrame) -> None:
    heads = display_tables(frame.assign(margin=math.nan))[0][1][0]
    assert "margin" not in heads
    assert "margin" in display_tables(frame)[0][1][0]


def test_names_cannot_break_a_markdown_table() -> None:
    text = markdown(frame_of(report_set(method=NASTY + "\nnext")))
    row = next(line for line in text.splitlines() if "alert" in line)
    plain = next(line for line in text.splitlines() if "plain" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == plain.count("|")
    assert "\\<script>" in row
    assert "next" in row


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_needs_nothing_else_and_runs_nothing(frame: pd.DataFrame) -> None:
    page = Page(html_page("Comparison", [("Equal budget", frame)], ["A note."]))
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "action", "style"} & names
    assert not any(name.startswith("on") for name in names)
    assert "url(" not in page.words
    assert "://" not in page.words
    assert "prefers-color-scheme: dark" in page.words


def test_the_page_shows_every_table_and_note(frame: pd.DataFrame) -> None:
    other = frame_of(report_set("night"))
    tables = [("Equal budget", frame), ("Equal lineage length", other)]
    page = Page(html_page("Comparison", tables, ["Budget: 40 epochs."]))
    assert (page.tags.count("table"), page.tags.count("svg")) == (3, 3)
    for text in ("Equal budget", "Equal lineage length", "night", "Budget: 40 epochs.", READING):
        assert text in page.words
    for _, cells in display_tables(frame):
        assert all(cell in page.words for row in cells for cell in row)


def test_texts_are_escaped_everywhere() -> None:
    frame = frame_of(report_set(NASTY, method=NASTY))
    page = Page(html_page(NASTY, [(NASTY, frame)], [NASTY]))
    assert "script" not in page.tags
    assert page.words.count(NASTY) >= 6


def drawing(frame: pd.DataFrame, name: str = "faces") -> ElementTree.Element:
    return ElementTree.fromstring(forest_plot(frame, name))


def marks(frame: pd.DataFrame) -> list[ElementTree.Element]:
    return list(drawing(frame).iter("circle"))


def test_the_plot_has_a_mark_a_value_and_says_the_verdicts(frame: pd.DataFrame) -> None:
    svg = drawing(frame)
    words = [text.text for text in svg.iter("text")]
    assert len(list(svg.iter("circle"))) == 4 + 3
    for verdict in ("best baseline", "better", "worse", "not distinguishable"):
        assert verdict in words
    classes = [mark.get("class") for mark in marks(frame)][4:]
    assert sorted(map(str, classes)) == ["better", "unclear", "worse"]


def test_marks_stand_where_their_values_are() -> None:
    frame = frame_of(report_set())
    x = [float(mark.get("cx", "")) for mark in marks(frame)][:4]
    assert_allclose(np.corrcoef(x, frame["mean"])[0, 1], 1, rtol=1e-6)


def test_without_intervals_marks_are_hollow() -> None:
    found = marks(frame_of(report_set(seeds=1)))
    assert {str(mark.get("class")).split()[0] for mark in found} == {"hollow"}


def test_an_endless_interval_does_not_squeeze_the_others() -> None:
    frame = frame_of(report_set())
    before = [float(mark.get("cx", "")) for mark in marks(frame)]
    frame.loc[2, ["diff_low", "diff_high"]] = -1e3, 1e3
    after = [float(mark.get("cx", "")) for mark in marks(frame)]
    assert max(after[4:]) - min(after[4:]) > 0.2 * (max(before[4:]) - min(before[4:]))
    svg = drawing(frame)
    width = float(svg.get("width", ""))
    ends = [float(line.get(end, "")) for line in svg.iter("line") for end in ("x1", "x2")]
    assert 0 <= min(ends) <= max(ends) <= width


def test_a_lone_method_can_be_drawn() -> None:
    one = report_set(seeds=1)
    frame = frame_of(replace(one, methods=one.methods[:1]))
    assert len(marks(frame)) == 1
    assert markdown(frame).count("best baseline") == 1


def test_all_outputs_are_the_same_bytes_again() -> None:
    def outputs() -> list[str]:
        frame = frame_of(report_set())
        return [frame_csv(frame), markdown(frame), html_page("t", [("h", frame)])]

    assert outputs() == outputs()
