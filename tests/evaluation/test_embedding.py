"""Views become one unit row; zero stays zero; what is not finite is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation.embedding import NUM_VIEWS, combine_views


def views(seed: int, num: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(5, 8)).astype(np.float32) for _ in range(num)]


def test_raw_views_are_summed_before_the_norm() -> None:
    # A view with three times the norm counts three times; unit vectors averaged would be even.
    combined = combine_views([[3.0, 0.0]], [[0.0, 1.0]], flip="sum")
    assert_allclose(combined, [[3 / 10**0.5, 1 / 10**0.5]], rtol=1e-15)


@pytest.mark.parametrize("flip", NUM_VIEWS)
def test_rows_are_unit_in_float64(flip: str) -> None:
    combined = combine_views(*views(0, NUM_VIEWS[flip]), flip=flip)
    assert combined.dtype == np.float64
    assert_allclose(np.linalg.norm(combined, axis=1), 1, rtol=1e-15)


def test_the_sum_is_taken_in_float64() -> None:
    one, tiny = np.float32([[1.0, 0.0]]), np.float32([[1e-9, 1.0]])
    first, second = combine_views(one, tiny, flip="sum")[0]
    assert first / second == 1.0 + np.float64(np.float32(1e-9))


def test_a_zero_row_stays_zero() -> None:
    combined = combine_views([[0.0, 0.0], [2.0, 0.0]], flip="none")
    assert combined.tolist() == [[0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_is_refused_with_its_place(value: float) -> None:
    image, mirror = views(1, 2)
    mirror[3, 2] = value
    with pytest.raises(DataError, match=r"image 3 \(1 of 5 images\)") as caught:
        combine_views(image, mirror, flip="sum")
    assert "\n" not in str(caught.value)


def test_the_number_of_views_is_the_flips() -> None:
    with pytest.raises(ValueError, match="needs 2 views, got 1"):
        combine_views(*views(2, 1), flip="sum")
