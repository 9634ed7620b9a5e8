"""Comparisons through the command line, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from lfs_ray.cli import run

Table = dict[str, Any]


def write_table(table: Table, folder: Path) -> str:
    """The configuration as a file; its path."""
    file = folder / "comparison.toml"
    file.write_text(tomli_w.dumps(table))
    return str(file)


def run_comparison(table: Table, folder: Path, *words: str) -> Path:
    """Run it through the command line; the run directory."""
    words = (write_table(table, folder), "--run-dir", str(folder / "run"), *words)
    code = run(["compare", *words])
    assert code == 0
    return folder / "run"
