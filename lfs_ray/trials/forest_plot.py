"""Intervals of one report set's methods as a small drawing (SVG) inside an HTML page.

Between `comparison_table` and `comparison_html`. Two panels share the methods' lines: accuracy in
percent, and its difference to the best baseline in points with a line at zero. The words stand
beside the marks, so that nothing hangs on colour; text takes the page's colour (currentColor)
and the marks take CSS classes, so that it reads on light and on dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from lfs_ray.trials.comparison_text import Row, number
from lfs_ray.trials.corrections import BETTER, WORSE

LINE_PX = 24
NAME_PX = 230
PANEL_PX = 280
GAP_PX = 40
VERDICT_PX = 230
HEAD_PX = 30
FOOT_PX = 34
NAME_CHARACTERS = 32
_CLASSES = {BETTER: "better", WORSE: "worse"}


@dataclass(frozen=True, slots=True)
class _Mark:
    """A value with its interval; without one, the ends are NaN."""

    value: float
    low: float
    high: float
    style: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """A stretch of values over a stretch of pixels."""

    low: float
    high: float
    left_px: float

    def x_px(self, value: float) -> float:
        """Where a value lies; values outside lie on the border."""
        share = (value - self.low) / (self.high - self.low)
        return self.left_px + PANEL_PX * min(max(share, 0.0), 1.0)


def forest_plot(frame: pd.DataFrame, name: str) -> str:
    """Drawing of one report set.

    Intervals that run far past the marks are cut at the border and end in an arrow.

    Args:
        frame: result of `comparison_table.comparison_frame`.
        name: the report set, one of the frame's.

    Returns:
        An SVG element, ASCII but for the methods' names; the same bytes for the same frame.
    """
    rows: list[Row] = [
        {str(column): cell for column, cell in row.items()}
        for row in frame[frame["report_set"] == name].to_dict("records")
    ]
    styles = [_CLASSES.get(str(row["verdict"]), "unclear") for row in rows]
    accuracy = _marks(rows, ("mean", "ci_low", "ci_high"), ["unclear"] * len(rows))
    difference = _marks(rows, ("difference", "diff_low", "diff_high"), styles)
    second_px = NAME_PX + PANEL_PX + GAP_PX
    width = second_px + PANEL_PX + VERDICT_PX
    height = HEAD_PX + LINE_PX * len(rows) + FOOT_PX
    parts = [
        f'<svg class="forest" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{html.escape(f"95 % intervals on {name}")}">',
        *_names(rows, second_px + PANEL_PX),
        *_panel(accuracy, NAME_PX, "accuracy, %", zero=False),
        *_panel(difference, second_px, "difference to the best baseline, points", zero=True),
        "</svg>",
    ]
    return "\n".join(parts)


def _marks(
    rows: Sequence[Row], columns: tuple[str, str, str], styles: Sequence[str]
) -> list[_Mark]:
    marks = []
    for row, style in zip(rows, styles, strict=True):
        value, low, high = (100 * number(row, column) for column in columns)
        marks.append(_Mark(value, low, high, style))
    return marks


def _names(rows: Sequence[Row], right_px: float) -> Iterable[str]:
    for index, row in enumerate(rows):
        y = _line_px(index) + 4
        yield _text(NAME_PX - 14, y, _shortened(str(row["method"])), "end")
        yield _text(right_px + 14, y, str(row["verdict"]), "start")


def _panel(marks: Sequence[_Mark], left_px: float, title: str, *, zero: bool) -> Iterable[str]:
    axis = _axis(marks, left_px, zero=zero)
    bottom = HEAD_PX + LINE_PX * len(marks)
    yield _text(left_px + PANEL_PX / 2, HEAD_PX - 12, title, "middle")
    ticks, decimals = _ticks(axis.low, axis.high)
    for tick in ticks:
        x = axis.x_px(tick)
        yield _segment("grid", x, HEAD_PX, x, bottom)
        yield _text(x, bottom + 18, f"{tick:{'+' if zero and tick else ''}.{decimals}f}", "middle")
    if zero:
        yield _segment("zero", axis.x_px(0), HEAD_PX, axis.x_px(0), bottom)
    for index, mark in enumerate(marks):
        yield from _drawn(mark, axis, _line_px(index))


def _drawn(mark: _Mark, axis: _Axis, y: float) -> Iterable[str]:
    if math.isnan(mark.value):
        return
    x = axis.x_px(mark.value)
    if math.isnan(mark.low):  # one seed: a hollow mark, no interval is known
        yield f'<circle class="hollow {mark.style}" cx="{x:.2f}" cy="{y:.2f}" r="4.5"/>'
        return
    for end, outside, outwards in (
        (mark.low, mark.low < axis.low, -1),
        (mark.high, mark.high > axis.high, 1),
    ):
        tip = axis.x_px(end)
        yield _segment(f"interval {mark.style}", x, y, tip, y)
        for side in (-5, 5):
            base = tip - 6 * outwards if outside else tip
            yield _segment(f"interval {mark.style}", tip, y, base, y + side)
    yield f'<circle class="{mark.style}" cx="{x:.2f}" cy="{y:.2f}" r="4.5"/>'


def _axis(marks: Sequence[_Mark], left_px: float, *, zero: bool) -> _Axis:
    """All values, and their intervals as far as one and a half times the spread beyond."""
    values = [mark.value for mark in marks if not math.isnan(mark.value)] + [0.0] * zero
    halves = sorted(mark.high - mark.value for mark in marks if not math.isnan(mark.high))
    usual = halves[len(halves) // 2] if halves else 0.0
    reach = 1.5 * max(max(values) - min(values), usual, 0.01)
    ends = [end for mark in marks for end in (mark.low, mark.high) if not math.isnan(end)]
    low = max(min([*values, *ends]), min(values) - reach)
    high = min(max([*values, *ends]), max(values) + reach)
    room = 0.05 * (high - low) or 0.1
    return _Axis(low - room, high + room, left_px)


def _ticks(low: float, high: float) -> tuple[list[float], int]:
    """Three to eight round numbers within, and the decimals they need."""
    rough = (high - low) / 8
    power = math.floor(math.log10(rough))
    step = next(step for step in (1, 2, 5, 10) if step * 10**power >= rough) * 10.0**power
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(number * step, 9) for number in range(first, last + 1)], decimals


def _line_px(index: int) -> float:
    return HEAD_PX + LINE_PX * (index + 0.5)


def _shortened(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS else name[: NAME_CHARACTERS - 3] + "..."


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _segment(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{style}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>'
