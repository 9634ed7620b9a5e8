from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfs_ray.data.align import TEMPLATE_52, align, similarity
from lfs_ray.errors import DataError


def blurred(number: int, height: int = 90, width: int = 130) -> np.ndarray:
    rng = np.random.default_rng(number)
    noise = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).astype(float)
    return ((smooth - 110) * 2).clip(0, 255).astype(np.uint8)


def moved(points: np.ndarray, angle: float, scale: float, x: float, y: float) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + [x, y]


def test_landmarks_in_their_places_change_nothing() -> None:
    image = blurred(0, 112, 112)
    assert np.array_equal(align(image, TEMPLATE_52), image)


def test_published_template() -> None:
    assert TEMPLATE_52[:, 0].tolist() == [38.2946, 73.5318, 56.0252, 41.5493, 70.7299]
    assert TEMPLATE_52[:, 1].tolist() == [51.6963, 51.5014, 71.7366, 92.3655, 92.2041]


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-np.pi, np.pi),
    st.floats(0.3, 3),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.sampled_from([48, 112, 160]),
    st.integers(0, 3),
)
def test_crops_are_those_of_opencv(
    angle: float, scale: float, x: float, y: float, size_px: int, number: int
) -> None:
    image = blurred(number)
    noise = np.random.default_rng(number).normal(0, 2, (5, 2))
    points = moved(TEMPLATE_52, angle, scale, x, y) + noise
    matrix = similarity(points, TEMPLATE_52 * size_px / 112)
    expected = cv2.warpAffine(image, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR)
    difference = np.abs(align(image, points, size_px).astype(int) - expected)
    # OpenCV rounds places to 1/32 pixel.
    assert difference.max() <= 2
    assert difference.mean() < 0.3


def test_outside_is_black() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    crop = align(white, TEMPLATE_52 - 30)
    assert (crop[:29, :] == 0).all()
    assert (crop[:, :29] == 0).all()
    assert (crop[31:69, 31:69] == 255).all()
    assert (crop[71:] == 0).all()
    assert not align(white, TEMPLATE_52 + 1000).any()


@given(st.floats(-3, 3), st.floats(0.1, 10), st.floats(-99, 99), st.floats(-99, 99))
def test_a_similarity_is_found_again(angle: float, scale: float, x: float, y: float) -> None:
    matrix = similarity(TEMPLATE_52, moved(TEMPLATE_52, angle, scale, x, y))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert np.allclose(matrix, np.column_stack([turn, [x, y]]), atol=1e-8)


def by_svd(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama (1991), equations 40 to 42."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    u, d, vt = np.linalg.svd(covariance)
    sign = np.diag([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = u @ sign @ vt
    scale = np.trace(np.diag(d) @ sign) / ((source - source_mean) ** 2).sum(1).mean()
    return np.column_stack([scale * turn, target_mean - scale * turn @ source_mean])


@given(st.integers(0, 10**6))
def test_least_squares_as_umeyama(seed: int) -> None:
    points = np.random.default_rng(seed).normal(50, 20, (5, 2))
    assert np.allclose(similarity(points, TEMPLATE_52), by_svd(points, TEMPLATE_52))


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan)])
def test_landmarks_that_are_none(points: np.ndarray) -> None:
    with pytest.raises(DataError, match="must be five different points of a face, got"):
        align(blurred(0), points)
