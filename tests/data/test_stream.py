from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data.stream import stream_flips, stream_indices

SEEDS = st.integers(0, 2**63 - 1)
SIZES = st.integers(1, 40)
POSITIONS = st.integers(0, 200)
CUTS = st.lists(st.integers(0, 200), min_size=2, max_size=6).map(sorted)


@given(SEEDS, SIZES, CUTS)
def test_any_cutting_gives_the_same_stream(seed: int, size: int, cuts: list[int]) -> None:
    parts = [stream_indices(seed, size, start, stop - start) for start, stop in pairwise(cuts)]
    whole = stream_indices(seed, size, cuts[0], cuts[-1] - cuts[0])
    assert np.array_equal(np.concatenate(parts), whole)


@given(SEEDS, CUTS)
def test_flips_depend_on_the_position_only(seed: int, cuts: list[int]) -> None:
    parts = [stream_flips(seed, start, stop - start, 0.5) for start, stop in pairwise(cuts)]
    whole = stream_flips(seed, cuts[0], cuts[-1] - cuts[0], 0.5)
    assert np.array_equal(np.concatenate(parts), whole)


@given(SEEDS, SIZES, st.integers(0, 5))
def test_each_epoch_holds_every_image_once(seed: int, size: int, epoch: int) -> None:
    order = stream_indices(seed, size, epoch * size, size)
    assert sorted(order.tolist()) == list(range(size))


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(stream_indices(seed, 50, e * 50, 50)) for seed in range(9) for e in range(9)}
    assert len(orders) == 81


def test_every_place_is_as_likely() -> None:
    counts = np.zeros((4, 4))
    for seed in range(2000):
        counts[np.arange(4), stream_indices(seed, 4, 0, 4)] += 1
    assert np.abs(counts / 2000 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 2000)


def test_golden_stream() -> None:
    """Runs of older versions are resumed: these numbers never change."""
    assert stream_indices(0, 10, 7, 9).tolist() == [4, 5, 0, 1, 6, 3, 5, 2, 7]
    assert np.flatnonzero(stream_flips(0, 5, 16, 0.5)).tolist() == [
        *(1, 2, 4, 7, 8, 9, 12, 13, 14)
    ]
    assert stream_indices(np.int64(3), 5, 0, 5).tolist() == stream_indices(3, 5, 0, 5).tolist()


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 1.0])
def test_flip_frequency(probability: float) -> None:
    share = stream_flips(1, 10**12, 20_000, probability).mean()
    assert abs(share - probability) <= 5 * np.sqrt(probability * (1 - probability) / 20_000)


def test_flips_are_not_those_of_another_seed_or_of_the_order() -> None:
    one, two = (stream_flips(seed, 0, 1000, 0.5) for seed in (0, 1))
    assert 400 < (one != two).sum() < 600


@pytest.mark.parametrize("bad", [(0, 0, 1), (5, -1, 1), (5, 0, -1)])
def test_impossible_streams(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="size >= 1, start >= 0, count >= 0"):
        stream_indices(0, *bad)


@pytest.mark.parametrize("bad", [(-1, 1, 0.5), (0, -1, 0.5), (0, 1, 1.1), (0, 1, float("nan"))])
def test_impossible_flips(bad: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="probability in"):
        stream_flips(0, *bad)


def test_first_permutation_twice_and_all_others_one_epoch_later() -> None:
    usual = stream_indices(3, 7, 0, 4 * 7).reshape(4, 7)
    late = stream_indices(3, 7, 0, 4 * 7, repeat_first=True).reshape(4, 7)
    assert np.array_equal(late, usual[[0, 0, 1, 2]])
    assert np.array_equal(stream_indices(3, 7, 5, 9, repeat_first=True), late.ravel()[5:14])
