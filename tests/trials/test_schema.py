"""Order and types of the columns are an interface: both lists are written out here."""

from __future__ import annotations

import pytest

from lfs_ray.trials.schema import (
    CATEGORY_COLUMNS,
    COLUMNS,
    INDEX_COLUMNS,
    RESULT_COLUMNS,
    RUN_COLUMNS,
    arrow_schema,
    column_names,
    theta_names_of,
)

RESULT = [
    "population:string",
    "method:string",
    "round:int32",
    "member:int32",
    "status:string",
    "reward:double",
    "reward_se:double",
    "advantage:double",
    "draw_*:double",
    "theta_*:double",
    "margin:double",
    "policy_mean_*:double",
    "policy_std_*:double",
    "parent_round:int32?",
    "parent_member:int32?",
    "selected:bool",
    "seed:int64",
    "train_loss:double",
    "epochs:double",
]
RUN = [
    "checkpoint:string?",
    "images_per_s:double",
    "data_wait_s:double",
    "train_s:double",
    "eval_s:double",
    "store_s:double",
    "duration_s:double",
    "worker:string?",
    "host:string?",
    "device:string?",
    "attempts:int32?",
    "error:string?",
    "started_at:timestamp[us,tz=UTC]?",
]


@pytest.mark.parametrize(
    ("columns", "expected"), [(RESULT_COLUMNS, RESULT), (RUN_COLUMNS, RUN)], ids=["result", "run"]
)
def test_order_and_types(columns: tuple, expected: list[str]) -> None:
    found = [
        f"{column.name}:{str(column.type).replace(' ', '')}{'?' if column.nullable else ''}"
        for column in columns
    ]
    assert found == expected, "an old file must stay readable: raise SCHEMA_VERSION with a change"


def test_theta_columns_are_repeated_in_place() -> None:
    names = column_names(["margin_0", "margin_1"])
    assert names[8:17] == [
        "draw_margin_0",
        "draw_margin_1",
        "theta_margin_0",
        "theta_margin_1",
        "margin",
        "policy_mean_margin_0",
        "policy_mean_margin_1",
        "policy_std_margin_0",
        "policy_std_margin_1",
    ]


@pytest.mark.parametrize("theta_names", [[], ["margin"], [f"margin_{i}" for i in range(10)]])
def test_arrow_schema_has_the_names_in_order(theta_names: list[str]) -> None:
    schema = arrow_schema(theta_names)
    assert schema.names == column_names(theta_names)
    assert len(set(schema.names)) == len(schema.names)
    assert theta_names_of(schema.names) == theta_names


def test_index_and_categories_are_columns() -> None:
    assert {*INDEX_COLUMNS, *CATEGORY_COLUMNS} <= {column.name for column in COLUMNS}


def test_every_column_says_what_it_means() -> None:
    assert all(len(column.meaning) > 5 for column in COLUMNS)
