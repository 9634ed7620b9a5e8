"""Draws the numbers of a loss as one SVG of two panels, the same bytes every time.

The background is transparent and every colour of middle brightness, so that a picture reads on
light and on dark pages.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from loss_curves import ANGLES_DEG, Curve, Picture, Points
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#2f7fd6", "#d9730d", "#2a9d5c", "#b455c8")
INK = "#7a7a7a"
LINE_KINDS = ("-", "--", "-.", ":")
PLAIN: dict[str, Any] = {"color": "#8c8c8c", "linewidth": 0.9, "zorder": 3}
STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "losses",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.6,
    "path.simplify_threshold": 0.2,
}
_MINUS_LOG: dict[str, Callable[[float], float]] = {
    "log-odds": lambda x: math.log1p(math.exp(-x)),
    "p": lambda x: -math.log(x),
}
"""-ln p by the position on the right panel's axis."""
_TICKS = (
    (0.001, 0.999, "0.001"),
    (0.5, 0.5, "0.5"),
    *((1.0 - 10.0**-k, 10.0**-k, f"1-1e-{k}") for k in (3, 6, 9, 12)),
)
"""p, 1 - p and their name on the axis of log-odds."""


def svg(curves: list[Curve], picture: Picture, mark: str) -> bytes:
    """The picture as SVG; `mark` stands in its metadata."""
    metadata = {"Date": None, "Creator": None, "Description": mark}
    text = _saved(curves, picture, "svg", metadata).decode()
    return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text).encode()


def png(curves: list[Curve], picture: Picture) -> bytes:
    """The same as PNG, to look at."""
    return _saved(curves, picture, "png", {})


def _saved(
    curves: list[Curve], picture: Picture, kind: str, metadata: dict[str, str | None]
) -> bytes:
    made = io.BytesIO()
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
        figure = Figure(figsize=(7.6, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        _target_panel(left, curves, drawn=picture.drawn)
        _loss_panel(right, curves, picture)
        figure.savefig(made, format=kind, transparent=True, metadata=metadata, dpi=150)
    return made.getvalue()


def _target_panel(axes: Axes, curves: list[Curve], *, drawn: bool) -> None:
    axes.plot(ANGLES_DEG.tolist(), ANGLES_DEG.deg2rad().cos().tolist(), label="cos theta", **PLAIN)
    shown: list[object] = []
    for i, curve in enumerate(curves):
        if curve.target not in shown:
            _plot(axes, curve.target, i, drawn=drawn)
        shown.append(curve.target)
    axes.set_xlabel("target angle theta, degrees")
    axes.set_ylabel("target logit / s")
    axes.set_xticks(range(0, 181, 30))
    axes.set_xlim(0.0, 180.0)
    axes.legend(frameon=False, loc="upper right")


def _loss_panel(axes: Axes, curves: list[Curve], picture: Picture) -> None:
    x = sorted({x for curve in curves for x, _ in curve.loss})
    axes.plot(x, [_MINUS_LOG[picture.axis](one) for one in x], label="-ln p", **PLAIN)
    for i, curve in enumerate(curves):
        _plot(axes, curve.loss, i, drawn=picture.drawn, label=curve.label)
    axes.set_xlabel("softmax probability p of the target")
    axes.set_ylabel("loss" if picture.times == 1.0 else f"loss times {picture.times:g}")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if picture.axis == "log-odds":
        ticks = {math.log(p / q): label for p, q, label in _TICKS}
        within = {at: label for at, label in ticks.items() if x[0] <= at <= x[-1]}
        axes.set_xticks(list(within), list(within.values()))
    axes.legend(frameon=False, loc="upper right")


def _plot(axes: Axes, points: Points, i: int, *, drawn: bool, label: str = "") -> None:
    x, y = zip(*points, strict=True)
    line: dict[str, Any] = {"linestyle": "none", "marker": ".", "markersize": 3.0}
    if not drawn:
        line = {"linestyle": LINE_KINDS[i % len(LINE_KINDS)]}
    axes.plot(x, y, color=COLOURS[i % len(COLOURS)], label=label or None, **line)
