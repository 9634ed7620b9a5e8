"""Pictures of an evaluation: ROC curves, hits over ranks or distractors, histograms of scores.

Figures of `lfs-ray evaluate` -> here -> PNG or SVG by the file's ending. White ground, so that a
picture reads wherever it is pasted; every curve has its name at its end or in the legend.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

Floats = npt.NDArray[np.floating]

COLOURS = ("#1f6fc4", "#d9730d", "#2a9d5c", "#b455c8", "#c0392b", "#5d6d7e", "#a67c00", "#0e8a8a")
_SIZE_INCHES = (6.4, 4.6)
_DPI = 120
_BINS = 80


def roc_picture(curves: Mapping[str, tuple[Floats, Floats]], path: Path) -> None:
    """True accept rate over false accept rate, from the least rate the impostors can show.

    Args:
        curves: false and true accept rates by name, rising; the first false rate above 0 is one
            impostor's.
        path: file to write, *.png or *.svg.
    """
    figure, axes = _new_figure()
    least = min((_least_positive(far) for far, _ in curves.values()), default=1e-3)
    for (name, (far, tar)), colour in zip(curves.items(), _colours(), strict=False):
        _step(axes, np.maximum(far, least), tar, name, colour)
    axes.set_xscale("log")
    axes.set_xlim(least, 1)
    axes.set_ylim(0, 1.01)
    _finish(figure, axes, "false accept rate", "true accept rate", path)


def cmc_picture(curves: Mapping[str, tuple[npt.NDArray[np.integer], Floats]], path: Path) -> None:
    """Share of probes found, over the rank or over the number of distractors.

    Args:
        curves: ranks (or numbers of distractors), rising, and hit rates, by name.
        path: file to write, *.png or *.svg.
    """
    figure, axes = _new_figure()
    for (name, (ranks, hits)), colour in zip(curves.items(), _colours(), strict=False):
        axes.plot(ranks, hits, marker="o", markersize=3, color=colour, label=name)
    among = all("rank 1" in name for name in curves)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(0, 1.01)
    _finish(figure, axes, "distractors" if among else "rank", "share of probes found", path)


def score_histogram(
    genuine_G: Floats, impostor_I: Floats, thresholds: Sequence[float], path: Path
) -> None:
    """Scores of pairs of one person and of two people, each as shares of its own kind.

    Args:
        genuine_G, impostor_I: scores.
        thresholds: where decisions are made, drawn as lines.
        path: file to write, *.png or *.svg.
    """
    figure, axes = _new_figure()
    both = np.concatenate([genuine_G, impostor_I])
    edges = np.linspace(both.min(), both.max() + 1e-9, _BINS + 1)
    kinds = (("two people", impostor_I, COLOURS[1]), ("one person", genuine_G, COLOURS[0]))
    for name, scores, colour in kinds:
        counts, _ = np.histogram(scores, edges)
        label = f"{name}, {len(scores):,} pairs"
        axes.stairs(counts / len(scores), edges, fill=True, alpha=0.45, color=colour, label=label)
        axes.stairs(counts / len(scores), edges, color=colour)
    for threshold in thresholds:
        axes.axvline(threshold, color="#333333", linewidth=1, linestyle="--", label="threshold")
    _finish(figure, axes, "score", "share of the pairs of a kind", path)


def _new_figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e3e6ea", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _step(axes: Axes, far: Floats, tar: Floats, name: str, colour: str) -> None:
    """The curve as a stair; points that no picture can show apart are left out."""
    kept = np.unique(np.round(np.stack([np.log10(far), tar]), 4), axis=1, return_index=True)[1]
    axes.step(far[kept], tar[kept], where="post", color=colour, label=name)


def _finish(figure: Figure, axes: Axes, x_name: str, y_name: str, path: Path) -> None:
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    axes.legend(frameon=False, fontsize="small")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with_date = {} if path.suffix == ".png" else {"Date": None}
        figure.savefig(temporary, format=path.suffix.removeprefix("."), metadata=with_date)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _least_positive(far: Floats) -> float:
    between = far[(far > 0) & (far < 1)]
    return float(between.min()) if between.size else 1e-3


def _colours() -> Sequence[str]:
    return COLOURS * 8
