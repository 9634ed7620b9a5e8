"""The trial table as text: what `lfs-ray trials` prints and writes."""

from __future__ import annotations

import difflib
import os
import uuid
from pathlib import Path

import pandas as pd

from lfs_ray.errors import ConfigError, RunError
from lfs_ray.trials.schema import theta_names_of

BEST_IS_LARGEST = ("reward", "advantage", "images_per_s", "selected")
"""Columns sorted downwards; all others go upwards."""

_COLUMNS = (
    "status",
    "reward",
    "reward_se",
    "advantage",
    "margin",
    "selected",
    "train_loss",
    "epochs",
    "images_per_s",
    "duration_s",
    "worker",
)
_MAX_THETA = 2
_MAX_ERROR_CHARS = 60
_MISSING = "-"
_FORMATS = {"images_per_s": "{:.0f}", "duration_s": "{:.1f}", "epochs": "{:.2f}"}
_FLOAT = "{:.4f}"


def format_trials(frame: pd.DataFrame, sort: str = "") -> str:
    """Compact text of a trial table, one line a trial.

    Args:
        frame: what `read_trials` returns.
        sort: a column of the table or its index; its best or first values come on top,
            missing ones last, equal ones in order of the index. Empty: order of the index.

    Raises:
        ConfigError: no such column.

    Returns:
        Lines without a newline at the end; a floating column keeps 4 digits after the point.
    """
    rows = sorted_trials(frame, sort) if sort else frame
    if rows.empty:
        return "no trials yet: no round has been committed"
    text = pd.DataFrame(index=rows.index)
    for name in _shown(rows, sort):
        text[name] = [_cell(value, _FORMATS.get(name, _FLOAT)) for value in rows[name]]
    return text.reset_index().to_string(index=False)


def sorted_trials(frame: pd.DataFrame, sort: str) -> pd.DataFrame:
    """The rows ordered by a column; see `format_trials`."""
    names = [*(str(name) for name in frame.index.names), *(str(name) for name in frame.columns)]
    if sort not in names:
        near = difflib.get_close_matches(sort, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(names)}"
        raise ConfigError(f"--sort must name a column of the trial table, found {sort!r}: {hint}")
    key = frame.reset_index()[sort]
    order = key.sort_values(
        ascending=sort not in BEST_IS_LARGEST, kind="stable", na_position="last"
    )
    return frame.iloc[order.index.to_numpy()]


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a trial table, index included, floats in full precision, as UTF-8 CSV.

    The file appears whole or not at all.

    Raises:
        RunError: the file cannot be written there.
    """
    target = Path(path)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        frame.to_csv(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise RunError(
            f"--csv must name a file in an existing, writable folder, found {str(path)!r} "
            f"({error.strerror or error}): create the folder or choose another"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _shown(frame: pd.DataFrame, sort: str) -> list[str]:
    """Columns to print: theta where it is short, errors where there are some."""
    theta = [f"theta_{name}" for name in theta_names_of(map(str, frame.columns))]
    shown = [name for name in _COLUMNS if name in frame]
    if len(theta) <= _MAX_THETA:
        position = shown.index("margin")
        shown[position:position] = [name for name in theta if name != "theta_margin"]
    if sort in frame and sort not in shown:
        shown.append(sort)
    if frame["error"].notna().any() and "error" not in shown:
        shown.append("error")
    return shown


def _cell(value: object, float_format: str) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return _MISSING
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "*" if value else ""
    if isinstance(value, float):
        return float_format.format(value)
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_ERROR_CHARS else text[: _MAX_ERROR_CHARS - 3] + "..."
