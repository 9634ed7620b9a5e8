"""Seeds: fixed for ever, in range, and apart from each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfs_ray.seeds import derive_seed

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", max_size=8)
PATHS = st.lists(st.integers() | NAMES, max_size=4).map(tuple)
SeedPath = tuple[int | str, ...]


@pytest.mark.parametrize(
    ("path", "seed"),
    [
        ((), 8203414616412130826),
        ((0, "draw", 3), 1556592022346133187),
        ((1, "trial", 2, 3), 3275138087146982994),
    ],
)
def test_seeds_never_change(path: SeedPath, seed: int) -> None:
    """A changed seed would make every old run impossible to resume or to reproduce."""
    assert derive_seed(*path) == seed


@settings(deadline=None)
@given(one=PATHS, other=PATHS)
def test_other_paths_give_other_seeds(one: SeedPath, other: SeedPath) -> None:
    assert (derive_seed(*one) == derive_seed(*other)) == (one == other)


def test_a_number_is_not_its_text() -> None:
    assert derive_seed(1, "2") != derive_seed(1, 2)
    assert derive_seed(12) != derive_seed(1, 2)


@settings(deadline=None)
@given(path=PATHS)
def test_seeds_fit_a_signed_64_bit_column(path: SeedPath) -> None:
    assert 0 <= derive_seed(*path) < 2**63
    np.random.default_rng(derive_seed(*path))


def test_neighbours_are_spread_over_the_whole_range() -> None:
    seeds = np.array([derive_seed(0, "draw", number) for number in range(4000)], dtype=np.float64)
    assert len(set(seeds.tolist())) == 4000
    # The mean of 4,000 uniform numbers lies within five deviations, 5 / sqrt(12 * 4000) = 0.023.
    assert abs((seeds / 2.0**63).mean() - 0.5) < 0.023
