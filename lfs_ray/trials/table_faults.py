"""Whether a Parquet table of trials is whole: its columns, its facts, and that they fit together.

Page checksums find damaged values; what a footer says has no checksum and is looked at here.
"""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pyarrow.compute as pc

from lfs_ray.trials.schema import RESULT_COLUMNS, arrow_schema, column_names, theta_names_of


def facts_digest(facts: bytes) -> bytes:
    """Digest of the JSON of the rounds' facts, for the footer."""
    return hashlib.sha256(facts).hexdigest().encode()


def table_fault(table: pa.Table, facts: bytes, digest: bytes | None) -> str:
    """What is wrong with a table of rounds, a few words; empty when it is whole.

    Args:
        table: of this schema or an older one, in which run columns may be missing.
        facts: JSON of each round's facts.
        digest: their `facts_digest`; None: a file that has none yet.
    """
    if digest not in (None, facts_digest(facts)):
        return "facts that another digest belongs to"
    return _wrong_columns(table) or _wrong_values(table) or _wrong_facts(table, facts)


def _wrong_columns(table: pa.Table) -> str:
    theta_names = theta_names_of(table.column_names)
    missing = set(column_names(theta_names, RESULT_COLUMNS)) - set(table.column_names)
    unknown = set(table.column_names) - set(column_names(theta_names))
    if missing or unknown:
        found = f"no column {min(missing)}" if missing else f"a column {min(unknown)!r}"
        return found.encode("ascii", "backslashreplace").decode()
    for field in arrow_schema(theta_names):
        there = table.schema.get_all_field_indices(field.name)
        if len(there) > 1 or any(table.schema.field(i).type != field.type for i in there):
            return f"another column {field.name}"
    return ""


def _wrong_values(table: pa.Table) -> str:
    for field in arrow_schema(theta_names_of(table.column_names)):
        if field.nullable or field.name not in table.column_names:
            continue
        if table.column(field.name).null_count:
            return f"an empty value in column {field.name}"
    return ""


def _wrong_facts(table: pa.Table, facts: bytes) -> str:
    """The facts must be one table of texts for each round that has rows."""
    try:
        content = json.loads(facts)
        numbers = sorted(int(number) for number in content)
        texts = [text for fact in content.values() for text in fact.values()]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        return f"unreadable facts ({type(error).__name__})"
    if not all(isinstance(text, str) for text in texts):
        return "facts that are no texts"
    rounds = pc.unique(table.column("round")).to_pylist()
    return "" if sorted(rounds) == numbers else f"rows of rounds {rounds} and facts of {numbers}"
