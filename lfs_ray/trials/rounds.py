"""Files of committed rounds: rows of the trial table to Parquet bytes and back.

Between the population, which commits a round as rows and a few facts about it, and `read`.
Bytes in, bytes out: where they lie is the caller's business. A file holds one round, or
several once compacted, and the facts of each (the digest of the policy, the generation)
apart, so that compaction loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lfs_ray.errors import RunError
from lfs_ray.trials.schema import (
    INDEX_COLUMNS,
    RESULT_COLUMNS,
    SCHEMA_VERSION,
    STATUSES,
    arrow_schema,
    column_names,
)
from lfs_ray.trials.table_faults import facts_digest, table_fault

VERSION_KEY = b"lfs_ray.schema_version"
ROUNDS_KEY = b"lfs_ray.rounds"
DIGEST_KEY = b"lfs_ray.rounds_sha256"

Row = dict[str, object]


class DamagedRounds(RunError):
    """A file of rounds is not what was written.

    Args:
        finding: what must hold, and what was found.
    """

    def __init__(self, finding: str) -> None:
        super().__init__(f"{finding}: restore it from a copy")
        self.finding = finding


@dataclass(frozen=True, slots=True)
class Round:
    """A committed round: its rows in order of member, and the facts noted at its commit."""

    number: int
    rows: tuple[Row, ...]
    metadata: Mapping[str, str]

    @property
    def selected(self) -> Row:
        """Row of the trial whose weights start the next round."""
        return next(row for row in self.rows if row["selected"])


def encode_round(
    rows: Sequence[Mapping[str, object]],
    theta_names: Sequence[str],
    metadata: Mapping[str, str],
) -> bytes:
    """Parquet bytes of one round.

    The same input gives the same bytes (with one version of pyarrow).

    Args:
        rows: one mapping a trial, all of one population and round. Every result column must
            be there; a run column that is left out is empty. None in a column of floats is
            NaN; None as parent means the initial weights; `started_at` is an aware datetime.
        theta_names: names of theta's components.
        metadata: facts about the round (policy digest, generation, ...).

    Raises:
        ValueError: a row does not fit the schema; a key is missing, unknown or repeated.
    """
    _check_rows(rows, theta_names)
    table = _to_table(rows, theta_names).sort_by("member")
    return _to_bytes(table, {table.column("round")[0].as_py(): dict(metadata)})


def decode_round(blob: bytes, *, name: str = "round file") -> tuple[list[Row], dict[str, str]]:
    """Rows (in order of member) and metadata of a file with one round.

    Floats come back bit for bit, a missing one as NaN; other missing values as None.

    Raises:
        RunError: see `read_table`; the file holds several rounds.
    """
    rounds = decode_rounds(blob, name=name)
    if len(rounds) != 1:
        raise RunError(f"{name} must hold one round, found {len(rounds)}: it is a compacted file")
    return list(rounds[0].rows), dict(rounds[0].metadata)


def decode_rounds(
    blob: bytes, first: int = 0, last: int | None = None, *, name: str = "round file"
) -> list[Round]:
    """Rounds first..last (inclusive; by default all) of a file, in order of number.

    Of a compacted file, take the range that `ownership.select` gives and no more: the rest may
    be an orphan's.

    Raises:
        RunError: see `read_table` and `take_rounds`.
    """
    table = read_table(blob, name=name)
    if last is not None:
        table = take_rounds(table, first, last, name=name)
    return rounds_of(table)


def rounds_of(table: pa.Table) -> list[Round]:
    """Rounds of a table of `read_table` or `take_rounds`, in order of number."""
    facts = _facts(table)
    rows: dict[int, list[Row]] = {number: [] for number in facts}
    for row in table.to_pylist():
        rows[row["round"]].append(row)
    return [Round(number, tuple(rows[number]), facts[number]) for number in sorted(rows)]


def merge_rounds(
    parts: Sequence[tuple[bytes, int, int]], *, names: Sequence[str] | None = None
) -> bytes:
    """Bytes of a compacted file.

    Args:
        parts: (bytes of a file, first, last) as `ownership.select` orders them; the ranges
            follow each other without a gap.
        names: of the files, for messages.

    Raises:
        RunError: see `read_table` and `take_rounds`.
        ValueError: no part, or ranges that do not follow each other.
    """
    ends = [last + 1 for _, _, last in parts]
    if not parts or [first for _, first, _ in parts[1:]] != ends[:-1]:
        found = [part[1:] for part in parts]
        raise ValueError(f"ranges must follow each other without a gap, found {found}")
    tables = [
        take_rounds(read_table(blob, name=name), first, last, name=name)
        for (blob, first, last), name in zip(
            parts, names or ["round file"] * len(parts), strict=True
        )
    ]
    facts = {number: fact for table in tables for number, fact in _facts(table).items()}
    merged = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    return _to_bytes(merged.sort_by([("round", "ascending"), ("member", "ascending")]), facts)


def take_rounds(table: pa.Table, first: int, last: int, *, name: str = "round file") -> pa.Table:
    """Rounds first..last (inclusive) of a file's table.

    Raises:
        DamagedRounds: one of them is not there.
    """
    facts = _facts(table)
    absent = [number for number in range(first, last + 1) if number not in facts]
    if absent:
        raise DamagedRounds(
            f"{name} must hold rounds {first} to {last}, found no round {absent[0]} in it"
        )
    numbers = table.column("round")
    rows = table.filter(pc.and_(pc.greater_equal(numbers, first), pc.less_equal(numbers, last)))
    kept = {number: facts[number] for number in range(first, last + 1)}
    return rows.replace_schema_metadata(_footer(kept))


def read_table(blob: bytes, *, name: str = "round file") -> pa.Table:
    """The Arrow table of a file, single or compacted, of this or an older schema.

    Raises:
        DamagedRounds: not Parquet, not a file of trials, or not whole.
        RunError: of a newer schema.
    """
    try:
        table = pq.read_table(
            pa.BufferReader(blob), use_threads=False, page_checksum_verification=True
        )
        columns = table.column_names[:4]  # texts, where the footer is whole
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedRounds(
            f"{name} must be a Parquet file of trials, found {len(blob)} bytes that are not "
            f"({str(error).splitlines()[0]})"
        ) from error
    metadata = table.schema.metadata or {}
    if VERSION_KEY not in metadata or ROUNDS_KEY not in metadata:
        raise DamagedRounds(
            f"{name} must be a Parquet file of trials, found another table with columns "
            f"{', '.join(columns)}..."
        )
    version = _version(metadata[VERSION_KEY], name)
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{name} must have trial schema {SCHEMA_VERSION} or older, found {version}: "
            "read it with a newer lfs-ray"
        )
    wrong = table_fault(table, metadata[ROUNDS_KEY], metadata.get(DIGEST_KEY))
    if wrong:
        raise DamagedRounds(f"{name} must hold what lfs-ray wrote, found {wrong}")
    return table


def _version(text: bytes, name: str) -> int:
    if not text.isdigit():
        raise DamagedRounds(f"{name} must say its schema's version, found {text!r}")
    return int(text)


def _check_rows(rows: Sequence[Mapping[str, object]], theta_names: Sequence[str]) -> None:
    """Refuse rows that are not one round of the schema."""
    if not rows:
        raise ValueError("a round must have at least one row")
    known, required = set(column_names(theta_names)), column_names(theta_names, RESULT_COLUMNS)
    for row in rows:
        unknown = sorted(row.keys() - known)
        missing = [column for column in required if column not in row]
        if unknown or missing:
            raise ValueError(f"row must have the schema's columns: {unknown=}, {missing=}")
        if row["status"] not in STATUSES:
            raise ValueError(f"status must be one of {STATUSES}, found {row['status']!r}")
        parent = (row["parent_round"], row["parent_member"])
        if (parent[0] is None) != (parent[1] is None) or -1 in parent:
            raise ValueError(f"parent must be (round, member) or (None, None), found {parent}")
    keys = {tuple(row[column] for column in INDEX_COLUMNS) for row in rows}
    if len(keys) != len(rows) or len({key[:2] for key in keys}) != 1:
        raise ValueError(
            f"rows must be distinct members of one population and round, found {sorted(keys)}"
        )


def _to_table(rows: Sequence[Mapping[str, object]], theta_names: Sequence[str]) -> pa.Table:
    schema = arrow_schema(theta_names)
    return pa.table(
        [_to_array([row.get(field.name) for row in rows], field) for field in schema],
        schema=schema,
    )


def _to_array(values: Sequence[object], field: pa.Field) -> pa.Array:
    """A column; NaN for what is missing among floats."""
    if pa.types.is_floating(field.type):
        values = [float("nan") if value is None else value for value in values]
    given = [value for value in values if value is not None]
    if pa.types.is_timestamp(field.type) and any(not _is_aware(value) for value in given):
        raise ValueError(f"column {field.name} must hold aware datetimes, found {given}")
    if pa.types.is_integer(field.type) and any(not _is_integer(value) for value in given):
        raise ValueError(f"column {field.name} must hold integers, found {given}")
    try:
        array = pa.array(values, type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ValueError(f"column {field.name} must be {field.type}: {error}") from error
    if array.null_count and not field.nullable:
        raise ValueError(f"column {field.name} must have a value in every row, found {values}")
    return array


def _is_aware(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_integer(value: object) -> bool:
    # Arrow itself would cut the fraction off a float.
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _facts(table: pa.Table) -> dict[int, dict[str, str]]:
    """Metadata of each round of a file's table."""
    facts: dict[str, dict[str, str]] = json.loads(table.schema.metadata[ROUNDS_KEY])
    return {int(number): fact for number, fact in facts.items()}


def _footer(facts: Mapping[int, Mapping[str, str]]) -> dict[bytes, bytes]:
    text = json.dumps(facts, sort_keys=True).encode()
    version = str(SCHEMA_VERSION).encode()
    return {VERSION_KEY: version, ROUNDS_KEY: text, DIGEST_KEY: facts_digest(text)}


def _to_bytes(table: pa.Table, facts: Mapping[int, Mapping[str, str]]) -> bytes:
    """Parquet bytes with the schema's version and the facts of each round in the footer."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(_footer(facts)),
        sink,
        compression="zstd",
        write_page_checksum=True,
    )
    return bytes(sink.getvalue().to_pybytes())
