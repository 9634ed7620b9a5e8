"""Rows come back from their bytes as they went in; what does not fit is refused."""

from __future__ import annotations

import io
import math
import random
import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trial_rows import make_blob, make_row, make_rows

from lfs_ray.errors import RunError
from lfs_ray.trials.rounds import (
    VERSION_KEY,
    DamagedRounds,
    decode_round,
    decode_rounds,
    encode_round,
    merge_rounds,
    read_table,
)
from lfs_ray.trials.schema import SCHEMA_VERSION, arrow_schema, column_names

METADATA = {"policy_digest": "abc", "generation": "3"}


def plain(row: dict[str, object]) -> dict[str, object]:
    """The row with floats as their bits, so that NaN equals NaN and -0.0 is not 0.0."""
    return {
        name: struct.pack("<d", value) if isinstance(value, float) else value
        for name, value in row.items()
    }


def test_rows_and_metadata_come_back() -> None:
    rows = [*make_rows(3), make_row(3, 4, failed=True)]
    decoded, metadata = decode_round(encode_round(rows, ["margin"], METADATA))
    rows[4]["reward_se"] = math.nan
    assert [plain(row) for row in decoded] == [plain(row) for row in rows]
    assert [list(row) for row in decoded] == [column_names(["margin"])] * 5
    assert metadata == METADATA


@given(st.floats(width=64), st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_every_bit_of_a_number_comes_back(reward: float, seed: int) -> None:
    row = make_row(0, 0) | {"reward": reward, "seed": seed}
    decoded, _ = decode_round(encode_round([row], ["margin"], {}))
    assert decoded[0]["seed"] == seed
    back = decoded[0]["reward"]
    assert isinstance(back, float)
    assert math.isnan(back) if math.isnan(reward) else plain({"": back}) == plain({"": reward})


def test_bytes_depend_on_the_content_alone() -> None:
    rows = make_rows(1)
    shuffled = [dict(reversed(row.items())) for row in rows]
    random.Random(0).shuffle(shuffled)
    turned = dict(reversed(METADATA.items()))
    assert encode_round(shuffled, ["margin"], turned) == encode_round(rows, ["margin"], METADATA)


def test_a_run_column_may_be_left_out() -> None:
    names = [*column_names(["margin"])[:-13]]
    row = {name: value for name, value in make_row(0, 0).items() if name in names}
    decoded, _ = decode_round(encode_round([row], ["margin"], {}))
    assert decoded[0]["worker"] is None
    assert math.isnan(float(str(decoded[0]["train_s"])))


def test_numbers_of_numpy_are_taken() -> None:
    row = make_row(0, 0) | {"member": np.int64(5), "reward": np.float32(0.5), "selected": np.True_}
    decoded, _ = decode_round(encode_round([row], ["margin"], {}))
    assert (decoded[0]["member"], decoded[0]["reward"], decoded[0]["selected"]) == (5, 0.5, True)


def test_a_local_theta_has_ten_columns_of_each_kind() -> None:
    names = [f"margin_{bin_number}" for bin_number in range(10)]
    rows = [make_row(0, member, theta_names=names) for member in range(2)]
    decoded, _ = decode_round(encode_round(rows, names, {}))
    assert [plain(row) for row in decoded] == [plain(row) for row in rows]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, r"unknown=\['surprise'\]"),
        ({"reward": None, "status": "done"}, "status must be one of"),
        ({"round": 1.5}, "round must hold integers"),
        ({"member": True}, "member must hold integers"),
        ({"seed": 2**63}, "seed must be int64"),
        ({"seed": None}, "seed must have a value in every row"),
        ({"reward": "good"}, "reward must be double"),
        ({"selected": None}, "selected must have a value"),
        ({"started_at": datetime(2026, 1, 1)}, "aware datetimes"),
        ({"started_at": 1.7e9}, "aware datetimes"),
        ({"parent_round": 2, "parent_member": None}, r"\(round, member\) or \(None, None\)"),
        ({"parent_round": -1, "parent_member": -1}, r"\(round, member\) or \(None, None\)"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_round([make_row(0, 0) | change], ["margin"], {})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one row"),
        ([make_row(0, 0), make_row(0, 0)], "distinct members"),
        ([make_row(0, 0), make_row(1, 1)], "one population and round"),
        ([make_row(0, 0), make_row(0, 1, population="b")], "one population and round"),
        ([make_row(0, 0, theta_names=["other"])], "missing="),
    ],
)
def test_rows_that_are_not_a_round_are_refused(rows: list[dict], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_round(rows, ["margin"], {})


def test_merged_rounds_come_back_with_their_metadata() -> None:
    merged = merge_rounds([(make_blob(number), number, number) for number in (4, 5, 6)])
    rounds = decode_rounds(merged)
    assert [found.number for found in rounds] == [4, 5, 6]
    for found in rounds:
        rows, metadata = decode_round(make_blob(found.number))
        assert [plain(row) for row in found.rows] == [plain(row) for row in rows]
        assert found.metadata == metadata


def test_merging_is_associative_to_the_byte() -> None:
    parts = [(make_blob(number), number, number) for number in range(4)]
    half = [(merge_rounds(parts[:2]), 0, 1), (merge_rounds(parts[2:]), 2, 3)]
    assert merge_rounds(half) == merge_rounds(parts)


def test_only_the_range_is_taken() -> None:
    orphan = merge_rounds([(make_blob(n, writer="old"), n, n) for n in range(6)])
    newer = [(make_blob(n, writer="new"), n, n) for n in (3, 4)]
    rounds = decode_rounds(merge_rounds([(orphan, 0, 2), *newer]))
    assert [found.metadata["writer"] for found in rounds] == ["old"] * 3 + ["new"] * 2
    assert [found.number for found in decode_rounds(orphan, 2, 4)] == [2, 3, 4]


@pytest.mark.parametrize("numbers", [[], [1, 3], [2, 1], [1, 1]])
def test_parts_that_leave_a_gap_are_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        merge_rounds([(make_blob(number), number, number) for number in numbers])


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_what_is_not_a_round_file_is_one_line() -> None:
    whole = make_blob(0)
    newer = pq.read_table(io.BytesIO(whole))
    newer = newer.replace_schema_metadata({**newer.schema.metadata, VERSION_KEY: b"99"})
    for blob, message in [
        (b"", "must be a Parquet file of trials, found 0 bytes"),
        (whole[:-9], "must be a Parquet file of trials"),
        (parquet(pa.table({"a": [1]})), "found another table with columns a"),
        (parquet(newer), f"schema {SCHEMA_VERSION} or older, found 99"),
    ]:
        with pytest.raises(RunError, match=message) as caught:
            read_table(blob, name="x.parquet")
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("x.parquet must")


def test_a_round_that_is_not_in_the_file_is_named() -> None:
    with pytest.raises(RunError, match="must hold rounds 4 to 6, found no round 5"):
        decode_rounds(make_blob(4), 4, 6)


def test_several_rounds_are_not_one() -> None:
    merged = merge_rounds([(make_blob(0), 0, 0), (make_blob(1), 1, 1)])
    with pytest.raises(RunError, match="must hold one round, found 2"):
        decode_round(merged)


def test_a_file_of_version_1_is_still_read() -> None:
    blob = (Path(__file__).parents[1] / "golden" / "trials_v1.parquet").read_bytes()
    table = read_table(blob)
    assert table.schema.equals(arrow_schema(["margin"]))
    rounds = decode_rounds(blob)
    expected = [make_rows(number, 3) for number in range(3)]
    expected[1][2] = make_row(1, 2, failed=True) | {"reward_se": math.nan}
    assert [[plain(row) for row in found.rows] for found in rounds] == [
        [plain(row) for row in rows] for rows in expected
    ]
    assert [found.metadata for found in rounds] == [
        {"generation": "1", "policy_digest": f"digest-{number}"} for number in range(3)
    ]


def test_a_byte_that_was_changed_is_found_or_changes_nothing() -> None:
    blob = make_blob(3)
    whole = repr(decode_rounds(blob))
    refused = 0
    for place in range(0, len(blob), 23):
        for mask in (0x01, 0xFF):
            changed = bytearray(blob)
            changed[place] ^= mask
            try:
                assert repr(decode_rounds(bytes(changed))) == whole
            except RunError:
                refused += 1
    assert refused > len(blob) / 23


@pytest.mark.parametrize("length", [0, 1, 8, 4000, -1])
def test_a_file_that_was_cut_off_is_found(length: int) -> None:
    with pytest.raises(DamagedRounds, match=r"^f must be a Parquet .* from a copy$"):
        decode_rounds(make_blob(3)[:length], name="f")


def test_a_fact_that_was_changed_is_found() -> None:
    table = pq.read_table(io.BytesIO(make_blob(3)))
    facts = {
        key: value.replace(b"digest-3", b"digest-4")
        for key, value in table.schema.metadata.items()
    }
    assert facts != table.schema.metadata
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(facts), sink)
    with pytest.raises(DamagedRounds, match="facts that another digest belongs to"):
        decode_rounds(sink.getvalue())
