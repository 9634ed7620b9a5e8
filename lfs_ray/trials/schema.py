"""Schema of the trial table: names, order, types and meaning of its columns.

First in the flow of this room: `rounds` writes files of this schema, `read` turns them into a
DataFrame. Order and types are an interface; a file of an older version must stay readable.

A trial that failed has NaN where a number is missing, never null; null is for what does not
exist: the parent of a first round (initial weights), the checkpoint of a discarded trial, the
error of a good one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 1
"""Written to every file; raised when a column changes its name, type or meaning."""

INDEX_COLUMNS = ("population", "round", "member")
"""The key of a trial: unique in a run, and the sort order of the table."""

CATEGORY_COLUMNS = ("population", "method", "status", "worker", "host", "device")
"""Columns with few values, read as pandas categories."""

STATUSES = ("ok", "failed")

_TEXT = pa.string()
_INT32 = pa.int32()
_INT64 = pa.int64()
_FLOAT = pa.float64()
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """A column; a name ending in `_*` stands for one column per name of theta."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False

    @property
    def per_theta(self) -> bool:
        """Whether the column is repeated for every name of theta."""
        return self.name.endswith("_*")

    def names(self, theta_names: Iterable[str]) -> tuple[str, ...]:
        """Names in a table whose search space has these theta names."""
        if not self.per_theta:
            return (self.name,)
        return tuple(self.name[:-1] + theta for theta in theta_names)


RESULT_COLUMNS = (
    Column("population", _TEXT, "name of the population"),
    Column("method", _TEXT, "name of its policy"),
    Column("round", _INT32, "round, from 0"),
    Column("member", _INT32, "index in the population, from 0"),
    Column("status", _TEXT, "ok or failed"),
    Column("reward", _FLOAT, "score on held-out identities; NaN when failed"),
    Column("reward_se", _FLOAT, "standard error of the reward"),
    Column("advantage", _FLOAT, "shaped reward that weights the gradient; NaN when failed"),
    Column("draw_*", _FLOAT, "what the policy sampled"),
    Column("theta_*", _FLOAT, "the draw projected into the search space"),
    Column("margin", _FLOAT, "equivalent margin of theta, in cosine; NaN where there is none"),
    Column("policy_mean_*", _FLOAT, "mean of the policy before the round's update"),
    Column("policy_std_*", _FLOAT, "deviation of the policy before the round's update"),
    Column("parent_round", _INT32, "round of the parent; null: initial weights", nullable=True),
    Column("parent_member", _INT32, "member of the parent; null: initial weights", nullable=True),
    Column("selected", pa.bool_(), "best of the round: parent of the next"),
    Column("seed", _INT64, "seed of the trial"),
    Column("train_loss", _FLOAT, "mean training loss of the round"),
    Column("epochs", _FLOAT, "epochs of the lineage after the round"),
)
"""Equal, bit for bit, however often a run was interrupted."""

RUN_COLUMNS = (
    Column("checkpoint", _TEXT, "name of the stored checkpoint; null: none", nullable=True),
    Column("images_per_s", _FLOAT, "training images per second"),
    Column("data_wait_s", _FLOAT, "seconds spent waiting for batches"),
    Column("train_s", _FLOAT, "seconds of training"),
    Column("eval_s", _FLOAT, "seconds of scoring"),
    Column("store_s", _FLOAT, "seconds of storing the checkpoint"),
    Column("duration_s", _FLOAT, "seconds from lease to completion"),
    Column("worker", _TEXT, "worker that completed the trial", nullable=True),
    Column("host", _TEXT, "host of the worker", nullable=True),
    Column("device", _TEXT, "device it trained on", nullable=True),
    Column("attempts", _INT32, "leases the trial took", nullable=True),
    Column("error", _TEXT, "why the trial failed; null: it did not", nullable=True),
    Column("started_at", _TIME, "start of the last attempt, UTC", nullable=True),
)
"""What happened on the way; differs from run to run."""

COLUMNS = RESULT_COLUMNS + RUN_COLUMNS


def column_names(theta_names: Sequence[str], columns: Iterable[Column] = COLUMNS) -> list[str]:
    """Names of `columns` in schema order.

    Args:
        theta_names: names of theta's components, `("margin",)` or `("margin_0", ...)`.
        columns: COLUMNS, RESULT_COLUMNS or RUN_COLUMNS.

    >>> column_names(["margin"])[8:11]
    ['draw_margin', 'theta_margin', 'margin']
    """
    return [name for column in columns for name in column.names(theta_names)]


def arrow_schema(theta_names: Sequence[str]) -> pa.Schema:
    """Arrow schema of a table whose search space has these theta names."""
    fields = [
        pa.field(name, column.type, nullable=column.nullable)
        for column in COLUMNS
        for name in column.names(theta_names)
    ]
    return pa.schema(fields)


def theta_names_of(names: Iterable[str]) -> list[str]:
    """Theta names of a table, from its column names and in their order.

    >>> theta_names_of(["draw_margin", "theta_margin", "margin"])
    ['margin']
    """
    return [name.removeprefix("theta_") for name in names if name.startswith("theta_")]
