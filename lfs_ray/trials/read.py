"""Run directories to one DataFrame: the last step of the trial table, and a public function.

Reads the files that `ownership` selects, whether a run is finished, running or was killed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_tables
from lfs_ray.trials.schema import (
    CATEGORY_COLUMNS,
    INDEX_COLUMNS,
    arrow_schema,
    column_names,
    theta_names_of,
)

Path = str | os.PathLike[str]


def read_trials(path_or_paths: Path | Sequence[Path]) -> pd.DataFrame:
    """Trial table of one or several runs.

    Args:
        path_or_paths: run directory, local or a URI (s3://...); or several of them.

    Returns:
        One row a trial, committed rounds only, failed trials included. Index (population,
        round, member), sorted; of several runs (run, population, round, member), run being
        the directory's name, or the whole path where names repeat. Columns in the order of
        `schema.COLUMNS`; those of theta are the union over all populations, NaN where a
        population has none of that name. Few-valued text is categorical, `parent_*` and
        `attempts` are Int32 with NA, `started_at` is a UTC timestamp.

    Raises:
        RunError: a path is not a run, or a file in it cannot be read.
    """
    if isinstance(path_or_paths, str | os.PathLike):
        return to_frame(_run_tables(Storage(path_or_paths)))
    runs = [Storage(path) for path in path_or_paths]
    if not runs:
        raise RunError("read_trials must get at least one run directory, found an empty list")
    return to_frame(
        [
            table.add_column(0, "run", pa.repeat(name, table.num_rows))
            for name, run in zip(_run_names(runs), runs, strict=True)
            for table in _run_tables(run)
        ],
        ("run", *INDEX_COLUMNS),
    )


def to_frame(tables: Sequence[pa.Table], index: Sequence[str] = INDEX_COLUMNS) -> pd.DataFrame:
    """One DataFrame of tables in `schema`, as `read_trials` describes it.

    Args:
        tables: tables of round files; their theta columns may differ.
        index: columns of the index.
    """
    theta_names = list(dict.fromkeys(n for t in tables for n in theta_names_of(t.column_names)))
    schema = arrow_schema(theta_names)
    if "run" in index:
        schema = schema.insert(0, pa.field("run", pa.string()))
    plain = [table.replace_schema_metadata(None) for table in tables]
    joined = pa.concat_tables([schema.empty_table(), *plain], promote_options="permissive")
    frame = pd.DataFrame({field.name: _to_series(joined, field) for field in schema})
    indexed = frame.set_index(list(index)).sort_index()
    return indexed[[name for name in column_names(theta_names) if name not in index]]


def _to_series(table: pa.Table, field: pa.Field) -> pd.Series:
    """A column with the type that the table promises."""
    column = table.column(field.name)
    if field.name in CATEGORY_COLUMNS and field.name not in INDEX_COLUMNS:
        return pd.Series(column.to_pandas()).astype("category")
    if field.nullable and pa.types.is_integer(field.type):
        return pd.Series(column.to_pandas(types_mapper={field.type: pd.Int32Dtype()}.get))
    return pd.Series(column.to_pandas())


def _run_tables(storage: Storage) -> list[pa.Table]:
    """The committed rounds of a run, population by population."""
    if not storage.exists("config.toml"):
        raise RunError(
            f"{storage.url} must be a run directory, found "
            f"{'no config.toml in it' if storage.exists('') else 'nothing there'}: "
            "give the directory that `lfs-ray search` printed"
        )
    return [
        table
        for population in storage.list("populations")
        for table in committed_tables(storage, population)
    ]


def _run_names(runs: Sequence[Storage]) -> list[str]:
    """A distinct name for each run: the directory's, else its address as it was given."""
    names = [run.name for run in runs]
    repeated = {name for name in names if names.count(name) > 1}
    return [run.url if name in repeated else name for name, run in zip(names, runs, strict=True)]
