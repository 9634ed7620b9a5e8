"""The table of a finished comparison -> pandas."""

from __future__ import annotations

import io
import os

import pandas as pd

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage

TABLE_NAME = "comparison.csv"


def read_comparison(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The tables of a finished comparison.

    Args:
        path: its run directory, or a URI (s3://...).

    Returns:
        One row a method and report set: the column `table` ("Equal budget" or "Equal lineage
        length"), then those of `comparison_table.COLUMNS`.

    Raises:
        RunError: there is none.
    """
    storage = Storage(os.fspath(path))
    if not storage.exists(TABLE_NAME):
        raise RunError(
            f"{storage.url} must hold a finished comparison, found no {TABLE_NAME}: finish it "
            f"with `lfs-ray compare --run-dir {storage.url} --resume must`"
        )
    return pd.read_csv(io.BytesIO(storage.read(TABLE_NAME)))
