"""Retrieval measures against loops over sorted neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from exact_rows import exact_rows, people, unit_people
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score

from lfs_ray.errors import DataError
from lfs_ray.evaluation.retrieval import average_precision_at, rank_images, retrieve


def neighbours(rows: np.ndarray, who: np.ndarray) -> list[list[bool]]:
    """For each image with company, whether each other image is of its class, nearest first."""
    lists = []
    for place in range(len(rows)):
        others = [other for other in range(len(rows)) if other != place]
        nearest = sorted(others, key=lambda other: -float(rows[other] @ rows[place]))
        if np.sum(who == who[place]) > 1:
            lists.append([bool(who[other] == who[place]) for other in nearest])
    return lists


def precision(relevant: list[bool], first: int) -> float:
    return sum(relevant[:first]) / first


def slow_map(relevant: list[bool], first: int, divisor: int) -> float:
    return sum(precision(relevant, i) for i in range(1, first + 1) if relevant[i - 1]) / divisor


@given(seed=st.integers(0, 2**32 - 1), num=st.integers(4, 25), count=st.integers(1, 8))
@settings(max_examples=120, deadline=None)
def test_any_images_equal_sorted_neighbours(seed: int, num: int, count: int) -> None:
    rows, who = exact_rows(seed, num), people(seed, num, count)
    lists = neighbours(rows, who)
    if not lists:
        with pytest.raises(DataError, match="two images or more"):
            retrieve(rows, who)
        return
    result = retrieve(rows, who)
    sizes = [sum(relevant) for relevant in lists]
    pairs = list(zip(lists, sizes, strict=True))
    assert result.precision_at_1 == np.mean([relevant[0] for relevant in lists])
    assert_allclose(result.r_precision_Q, [precision(found, size) for found, size in pairs])
    assert_allclose(result.map_at_r_Q, [slow_map(found, size, size) for found, size in pairs])
    for k in (1, 3):
        expected = [slow_map(found, min(k, num - 1), min(k, size)) for found, size in pairs]
        assert_allclose(average_precision_at(result.ranks, k), expected)
    assert_allclose(
        [result.r_precision, result.map_at_r],
        [result.r_precision_Q.mean(), result.map_at_r_Q.mean()],
    )


def test_with_all_neighbours_it_is_scikit_learns_average_precision() -> None:
    rows, who = unit_people(1, 8, 5)
    expected = [
        average_precision_score(np.delete(who == person, place), np.delete(rows @ row, place))
        for place, (row, person) in enumerate(zip(rows, who, strict=True))
    ]
    found = average_precision_at(rank_images(rows, who), len(rows))
    assert_allclose(found, expected, rtol=1e-12)


def test_an_equal_image_is_not_taken_for_the_query_itself() -> None:
    # Removed by distance, the twin would go and the third image, a stranger, come first.
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    assert retrieve(rows, ["a", "a", "b"]).precision_at_1 == 1.0


def test_images_alone_stay_in_the_gallery() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])
    result = retrieve(rows, ["a", "a", "alone"])
    assert result.ranks.query_Q.tolist() == [0, 1]
    assert result.precision_at_1 == 0.0


def test_known_answers() -> None:
    # R = 3, found at ranks 1 and 3 of the first three: (1/1 + 2/3) / 3.
    angles = np.array([0.0, 0.1, 0.2, 0.3, 3.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    result = retrieve(rows, [0, 0, 1, 0, 0])
    assert_allclose(result.map_at_r_Q[0], (1 + 2 / 3) / 3)
    assert_allclose(result.r_precision_Q[0], 2 / 3)
