"""Grids: the same points in every round, over the whole of the space."""

from __future__ import annotations

import numpy as np
import pytest

from lfs_ray.search.policy import build_policy
from lfs_ray.search.space import SPACES, build_space
from lfs_ray.search.state import PolicySettings


def points(space_name: str, n: int, seed: int = 0, **space: object) -> np.ndarray:
    policy = build_policy("grid", build_space(space_name, **space))  # type: ignore[arg-type]
    return policy.sample(policy.initial_state(), seed, n)


def test_one_dimension_is_evenly_spaced_from_end_to_end() -> None:
    assert points("margin", 6, upper=0.5)[:, 0].tolist() == pytest.approx(
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    )
    assert points("margin", 1, upper=0.5).tolist() == [[0.25]]
    assert points("raw", 3)[:, 0].tolist() == [-2.0, -1.0, 0.0]


@pytest.mark.parametrize("name", ["sample-margin", "piecewise", "taylor"])
@pytest.mark.parametrize("n", [1, 4, 9])
def test_more_dimensions_are_a_latin_hypercube(name: str, n: int) -> None:
    space = build_space(name)
    low, high = space.span(space.default_start, space.default_sigma)
    unit_ND = (points(name, n) - low) / (np.array(high) - low)
    cells = np.sort(unit_ND * n - 0.5, axis=0)
    np.testing.assert_allclose(cells, np.tile(np.arange(n)[:, None], space.size), atol=1e-9)
    if n == 9:
        assert len({tuple(column) for column in unit_ND.T.round(9)}) == space.size


@pytest.mark.parametrize("name", SPACES)
def test_all_points_lie_in_the_space_and_no_seed_changes_them(name: str) -> None:
    space = build_space(name)
    first = points(name, 5, seed=1)
    np.testing.assert_array_equal(first, points(name, 5, seed=2))
    np.testing.assert_array_equal(space.project(first), first + 0.0)


def test_where_a_space_has_no_end_sigma_says_how_far() -> None:
    policy = build_policy("grid", build_space("raw"), PolicySettings(start=-50.0, sigma=10.0))
    assert policy.sample(policy.initial_state(), 0, 2)[:, 0].tolist() == [-100.0, 0.0]
    assert policy.initial_state().mean == (-50.0,)
