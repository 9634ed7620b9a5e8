"""Blocks hold every row once, in order, and respect sizes and stops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.errors import DataError
from lfs_ray.evaluation.matrix_blocks import BlockedRows, iterate, num_rows


@given(
    cuts=st.lists(st.integers(0, 9), max_size=6),
    size=st.integers(1, 12),
    stops=st.lists(st.integers(0, 40), max_size=4),
)
def test_every_row_once_and_no_block_too_long(
    cuts: list[int], size: int, stops: list[int]
) -> None:
    matrix = np.arange(2.0 * sum(cuts)).reshape(-1, 2)
    parts = np.split(matrix, np.cumsum(cuts)[:-1]) if cuts else []
    rows = BlockedRows(len(matrix), lambda: parts)
    found = list(iterate(rows, size, stops))
    assert num_rows(rows) == num_rows(matrix) == len(matrix)
    joined = np.concatenate([block for _, block in found]) if found else matrix
    assert joined.tolist() == matrix.tolist()
    place = 0
    for start, block in found:
        assert start == place
        assert 1 <= len(block) <= size
        assert not any(start < stop < start + len(block) for stop in stops)
        place += len(block)
    assert [len(block) for _, block in iterate(rows, size, stops)] == [len(b) for _, b in found]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.zeros((2, 3))], "must be 5 embeddings, the blocks held 2"),
        ([np.zeros((6, 3))], "must be 5 embeddings, the blocks held 6"),
        ([np.zeros(5)], r"must be a matrix, found shape \(5,\)"),
        ([np.zeros((4, 2)), np.array([[0, np.nan]])], "infinity in row 4"),
    ],
)
def test_wrong_blocks_are_refused(blocks: list[np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(iterate(BlockedRows(5, lambda: blocks), 3))
    assert "\n" not in str(caught.value)
