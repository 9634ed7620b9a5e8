from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data.split import split_identities
from lfs_ray.errors import DataError


@given(st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 2**40))
def test_disjoint_and_complete(num_classes: int, share: float, seed: int) -> None:
    try:
        train, validation = split_identities(num_classes, share, seed)
    except DataError:
        assert round(num_classes * share) in (0, num_classes)
        return
    assert len(validation) == round(num_classes * share)
    assert sorted([*train, *validation]) == list(range(num_classes))
    assert train.tolist() == sorted(train)
    assert validation.tolist() == sorted(validation)


def test_seed_decides() -> None:
    splits = {tuple(split_identities(100, 0.1, seed)[1]) for seed in range(20)}
    assert len(splits) == 20
    again = split_identities(100, 0.1, np.int64(3))[1]
    assert np.array_equal(again, split_identities(100, 0.1, 3)[1])


def test_every_identity_is_held_out_as_often() -> None:
    counts = np.zeros(10)
    for seed in range(1000):
        counts[split_identities(10, 0.3, seed)[1]] += 1
    assert np.abs(counts / 1000 - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 1000)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.99, 1.0, -0.5, 2.0])
def test_a_side_without_identities(share: float) -> None:
    with pytest.raises(DataError, match=f"a share of {share} of 10 leaves"):
        split_identities(10, share, 0)
