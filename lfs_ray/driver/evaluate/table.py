"""The table of an evaluation: one row a figure, each with the name of its rule.

Protocols give rows; the command prints and saves them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from lfs_ray.data.store import ImageStore

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure."""

    set: str
    """What was evaluated on."""
    metric: str
    """What was measured, with its operating point: `tar@far=0.001`."""
    rule: str
    """Rule by which it was measured; published routines differ."""
    value: float
    error: float = math.nan
    """Its uncertainty; NaN where the rule has none."""
    error_kind: str = ""
    """What `error` is: deviation of the folds, or standard error over identities."""
    count: int = 0
    """Pairs, probes, queries or images behind the figure."""
    note: str = ""
    """What a reader must know, such as the false accept rate really reached."""


@dataclass(frozen=True, slots=True)
class HardError:
    """A pair that was decided wrongly."""

    left: str
    """Key of its first image."""
    right: str
    score: float
    same: bool
    """Whether it is one person: a false reject; else a false accept."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Scores of both kinds, for a picture."""

    genuine: Scores
    impostor: Scores
    threshold: float = math.nan
    """Where the rule decides, as a score; NaN where it has no single one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """What a protocol found: figures, and what pictures are made of."""

    rows: Sequence[Row]
    roc: Mapping[str, tuple[Scores, Scores]] = field(default_factory=dict)
    """False and true accept rates by set."""
    cmc: Mapping[str, tuple[npt.NDArray[np.int64], Scores]] = field(default_factory=dict)
    """Ranks and hit rates by set."""
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    errors: Sequence[HardError] = ()
    """The hardest errors, worst first."""
    store: ImageStore | None = None
    """Where the errors' images are; None where only embeddings were given."""


def joined(parts: Iterable[Appraisal]) -> Appraisal:
    """Several appraisals as one, in order."""
    several = list(parts)
    return Appraisal(
        rows=[row for part in several for row in part.rows],
        roc={name: curve for part in several for name, curve in part.roc.items()},
        cmc={name: curve for part in several for name, curve in part.cmc.items()},
        histograms={name: one for part in several for name, one in part.histograms.items()},
        errors=[error for part in several for error in part.errors],
        store=next((part.store for part in several if part.store is not None), None),
    )


def frame_of(rows: Sequence[Row], *, model: str, flip: str) -> pd.DataFrame:
    """One line a figure: model, flip, then the fields of `Row`."""
    table = pd.DataFrame([asdict(row) for row in rows], columns=[f.name for f in fields(Row)])
    table.insert(0, "model", model)
    table.insert(1, "flip", flip)
    return table


def text_of(table: pd.DataFrame) -> str:
    """The table for a terminal: one heading, figures to four places, no column without content."""
    heading = f"{table['model'].iloc[0]}, flip {table['flip'].iloc[0]}"
    shown = table.drop(columns=["model", "flip"])
    shown["value"] = [f"{value:.4f}" for value in table["value"]]
    shown["error"] = ["" if math.isnan(error) else f"{error:.4f}" for error in table["error"]]
    shown = shown.rename(columns={"error_kind": "error_is"})
    empty = [name for name in ("error", "error_is", "note") if not shown[name].any()]
    left = {name: _left(shown[name]) for name in ("set", "metric", "rule", "error_is", "note")}
    body = shown.assign(**left).drop(columns=empty).to_string(index=False)
    return "\n".join(line.rstrip() for line in [heading, *body.splitlines()])


def _left(column: pd.Series) -> list[str]:
    """Texts of one width, at the left of their column."""
    width = max(map(len, [str(column.name), *column]))
    return [text.ljust(width) for text in column]
