from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data.split import split_identities, split_images
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


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.floats(0, 0.9), st.integers(0, 99))
def test_images_of_every_class_are_held_out_and_one_stays(
    labels: list[int], share: float, seed: int
) -> None:
    classes = np.array(labels, np.int64)
    sizes = np.bincount(classes, minlength=7)
    quota = np.minimum(np.rint(sizes * share), np.maximum(sizes - 1, 0))
    if not quota.any():
        with pytest.raises(DataError, match="images of some class must be held out"):
            split_images(classes, share, seed)
        return
    train, validation = split_images(classes, share, seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert train.tolist() == sorted(train)
    assert validation.tolist() == sorted(validation)
    assert np.bincount(classes[validation], minlength=7).tolist() == quota.tolist()


def test_the_seed_chooses_the_images() -> None:
    labels = np.repeat(np.arange(3), 40)
    splits = {tuple(split_images(labels, 0.1, seed)[1]) for seed in range(20)}
    assert len(splits) == 20
