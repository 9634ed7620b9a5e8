"""The table of a comparison for reading: cells with sensible digits, and Markdown.

After `comparison_table`; `comparison_html` shows the same cells. Accuracies are in percent, their
differences in percentage points, both with two decimals: a pair of 6,000 is .017 points.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import pandas as pd

Row = Mapping[str, object]
READING = (
    "The number behind \u00b1 is the standard deviation over seeds. Intervals are 95 %, over "
    "training seeds and people, not corrected for the number of methods. The verdict is: it "
    "follows p (Holm), against the baseline that was best on the reward set. McNemar's test "
    "takes pairs as independent and knows these models only, not their methods: it is too "
    "optimistic."
)
"""What a reader must know of the columns; belongs below the tables."""
MISSING = "-"
PLUS_MINUS = "\u00b1"


def markdown(frame: pd.DataFrame) -> str:
    """One aligned Markdown table a report set, each under a bold line with the set's name.

    Args:
        frame: result of `comparison_table.comparison_frame`.
    """
    tables = []
    for name, cells in display_tables(frame):
        tables.append(f"**{_markdown_cell(name)}**\n\n{_aligned(cells)}\n")
    return "\n".join(tables)


def display_tables(frame: pd.DataFrame) -> list[tuple[str, list[list[str]]]]:
    """Each report set's name and its cells, the heads first; columns empty throughout left out."""
    tables = []
    for name in dict.fromkeys(frame["report_set"]):
        rows = frame[frame["report_set"] == name].to_dict("records")
        columns = [
            [head, *([cell(row) for row in rows])] for head, cell in _DISPLAYED_COLUMNS.items()
        ]
        shown = [column for column in columns if any(text != MISSING for text in column[1:])]
        tables.append((str(name), [list(row) for row in zip(*shown, strict=True)]))
    return tables


def number(row: Row, column: str) -> float:
    """A numeric cell of a row, NaN included."""
    return float(str(row[column]))


def percent(value: float) -> str:
    """0.98765 as 98.77."""
    return MISSING if math.isnan(value) else f"{100 * value:.2f}"


def points(value: float) -> str:
    """A difference of accuracies in percentage points, signed."""
    return MISSING if math.isnan(value) else f"{100 * value:+.2f}"


def _mean(row: Row) -> str:
    return _spread(row, "mean", "sd")


def _spread(row: Row, mean: str, sd: str) -> str:
    deviation = percent(number(row, sd))
    return percent(number(row, mean)) + (
        "" if deviation == MISSING else f" {PLUS_MINUS} {deviation}"
    )


def _interval(low: str, high: str, shown: Callable[[float], str]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        ends = shown(number(row, low)), shown(number(row, high))
        return MISSING if MISSING in ends else f"{ends[0]} to {ends[1]}"

    return cell


def _p_value(column: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = number(row, column)
        if math.isnan(value):
            return MISSING
        return "< 0.001" if value < 0.001 else f"{value:.3f}"

    return cell


def _plain(column: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = number(row, column)
        return MISSING if math.isnan(value) else f"{value:.4g}"

    return cell


_DISPLAYED_COLUMNS: dict[str, Callable[[Row], str]] = {
    "method": lambda row: str(row["method"]),
    "accuracy, %": _mean,
    "95 % interval": _interval("ci_low", "ci_high", percent),
    "difference, points": lambda row: points(number(row, "difference")),
    "its 95 % interval": _interval("diff_low", "diff_high", points),
    "p (Holm)": _p_value("p_holm"),
    "p (McNemar)": _p_value("mcnemar_p"),
    "verdict": lambda row: str(row["verdict"]),
    "reward, %": lambda row: _spread(row, "reward_mean", "reward_sd"),
    "seeds": _plain("seeds"),
    "restarts": _plain("restarts"),
    "lineage epochs": _plain("lineage_epochs"),
    "trained epochs": _plain("trained_epochs"),
    "margin": _plain("margin"),
}
_WORDS = frozenset({"method", "verdict"})
_MARKUP = re.compile(r"[\\|*`\[]|<(?=[A-Za-z/!?])")


def _aligned(cells: list[list[str]]) -> str:
    """Rows of a Markdown table, the columns padded to one width; numbers to the right."""
    cells = [[_markdown_cell(text) for text in row] for row in cells]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    words = [head in _WORDS for head in cells[0]]
    rule = [
        "-" * width if left else "-" * (width - 1) + ":"
        for width, left in zip(widths, words, strict=True)
    ]
    lines = [
        [
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(row, widths, words, strict=True)
        ]
        for row in (cells[0], rule, *cells[1:])
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cell(text: str) -> str:
    """One line; a bar would end the cell, and a tag would vanish."""
    one_line = " ".join(text.split())
    return _MARKUP.sub(r"\\\g<0>", one_line) or MISSING
