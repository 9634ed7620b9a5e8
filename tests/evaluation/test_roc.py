"""Threshold measures against golden values, scikit-learn, and slow versions of each rule."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from golden_pairs import golden_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import metrics as sklearn_metrics

from lfs_ray.errors import DataError
from lfs_ray.evaluation.roc import (
    TAR_RULES,
    OperatingPoint,
    area_under_curve,
    equal_error_rate,
    roc_curve,
    tar_at_far,
    tars_at_fars,
)

FARS = [1e-3, 1e-2, 1e-1]
Scores = st.lists(st.integers(-5, 5), min_size=1, max_size=30)
Rates = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])


def split(decimals: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    score, same, _ = golden_pairs()
    score = score if decimals is None else np.round(score, decimals)
    return score[same], score[~same]


def tars(points: tuple[OperatingPoint, ...]) -> list[float]:
    return [point.tar for point in points]


def reached(points: tuple[OperatingPoint, ...]) -> list[float]:
    return [point.far_reached for point in points]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("at_most", [0.665666667, 0.669333333, 0.736]),
        ("nearest", [0.665666667, 0.669333333, 0.736]),
        ("tinyface", [0.665666667, 0.669, 0.735333333]),
    ],
)
def test_golden_tars(rule: str, expected: list[float]) -> None:
    points = tars_at_fars(*split(), FARS, rule=rule)
    assert_allclose(tars(points), expected, atol=5e-10)
    assert {point.rule for point in points} == {rule}


def test_golden_nearest_reaches_zero_because_a_point_was_dropped() -> None:
    assert reached(tars_at_fars(*split(), FARS, rule="nearest")) == [0.0, 0.01, 0.1]


@pytest.mark.parametrize(
    ("rule", "expected_tars", "expected_fars"),
    [
        ("nearest", [0.662333333, 0.669333333, 0.736333333], [0, 0.010, 0.100333333]),
        ("at_most", [0.662333333, 0.669333333, 0.724333333], [0, 0.010, 0.082666667]),
        ("tinyface", [0.669333333, 0.669333333, 0.736333333], [0.010, 0.010, 0.100333333]),
    ],
)
def test_golden_ties(rule: str, expected_tars: list[float], expected_fars: list[float]) -> None:
    points = tars_at_fars(*split(decimals=2), FARS, rule=rule)
    assert_allclose(tars(points), expected_tars, atol=5e-10)
    assert_allclose(reached(points), expected_fars, atol=5e-10)


def test_golden_area() -> None:
    assert_allclose(area_under_curve(*split()), 0.937488, atol=5e-10)


def slow_at_most(genuine: list[int], impostor: list[int], far: float) -> tuple[float, float]:
    """The most accepted by any threshold that lets no more than floor(N f) impostors through."""
    allowed = int(np.floor(len(impostor) * far + 1e-9))
    best = (0.0, 0.0)
    for threshold in sorted({*impostor, -np.inf}, reverse=True):
        wrong = sum(score > threshold for score in impostor)
        if wrong <= allowed:
            right = sum(score > threshold for score in genuine)
            best = (right / len(genuine), wrong / len(impostor))
    return best


def slow_nearest(genuine: list[int], impostor: list[int], far: float) -> tuple[float, float]:
    truth = [1] * len(genuine) + [0] * len(impostor)
    fpr, tpr, _ = sklearn_metrics.roc_curve(truth, genuine + impostor)
    fpr, tpr = np.flipud(fpr), np.flipud(tpr)
    _, place = min((abs(rate - far), place) for place, rate in enumerate(fpr))
    return float(tpr[place]), float(fpr[place])


def slow_tinyface(genuine: list[int], impostor: list[int], far: float) -> tuple[float, float]:
    falling = sorted(impostor, reverse=True)
    count = round(len(impostor) * far)
    threshold = falling[0] + 1e-5 if count == 0 else falling[count - 1]
    right = sum(score >= threshold for score in genuine)
    wrong = sum(score >= threshold for score in impostor)
    return right / len(genuine), wrong / len(impostor)


ORACLES = {"at_most": slow_at_most, "nearest": slow_nearest, "tinyface": slow_tinyface}


@pytest.mark.parametrize("rule", TAR_RULES)
@given(genuine=Scores, impostor=Scores, far=Rates)
@settings(max_examples=150, deadline=None)
def test_any_scores_equal_the_slow_rule(
    rule: str, genuine: list[int], impostor: list[int], far: float
) -> None:
    point = tar_at_far(genuine, impostor, far, rule=rule)
    assert (point.tar, point.far_reached) == ORACLES[rule](genuine, impostor, far)
    assert np.mean(point.accepts(genuine)) == point.tar
    assert np.mean(point.accepts(impostor)) == point.far_reached


@given(genuine=Scores, impostor=Scores, drop=st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_curve_is_scikit_learns(genuine: list[int], impostor: list[int], drop: bool) -> None:
    truth = [1] * len(genuine) + [0] * len(impostor)
    expected = sklearn_metrics.roc_curve(truth, genuine + impostor, drop_intermediate=drop)
    curve = roc_curve(genuine, impostor, drop=drop)
    for ours, theirs in zip((curve.far_T, curve.tar_T, curve.threshold_T), expected, strict=True):
        assert ours.tolist() == theirs.tolist()


@given(genuine=Scores, impostor=Scores)
@settings(max_examples=150, deadline=None)
def test_the_area_is_scikit_learns_and_that_of_the_curve(
    genuine: list[int], impostor: list[int]
) -> None:
    truth = [1] * len(genuine) + [0] * len(impostor)
    area = area_under_curve(genuine, impostor)
    assert_allclose(area, sklearn_metrics.roc_auc_score(truth, genuine + impostor), atol=1e-12)
    wins = [(g > i) + 0.5 * (g == i) for g in genuine for i in impostor]
    assert_allclose(area, np.mean(wins), atol=1e-12)


def slow_equal_error(genuine: list[int], impostor: list[int]) -> float:
    """Where the polygon of error rates crosses the diagonal, segment by segment."""
    thresholds = [np.inf, *sorted({*genuine, *impostor}, reverse=True)]
    far = [sum(score >= t for score in impostor) / len(impostor) for t in thresholds]
    frr = [sum(score < t for score in genuine) / len(genuine) for t in thresholds]
    for (x0, x1), (y0, y1) in zip(pairwise(far), pairwise(frr), strict=True):
        if x1 >= y1:
            part = (y0 - x0) / ((x1 - x0) - (y1 - y0))
            return x0 + part * (x1 - x0)
    raise AssertionError("the rates must cross")


@given(genuine=Scores, impostor=Scores)
@settings(max_examples=150, deadline=None)
def test_the_equal_error_rate_is_where_the_rates_cross(
    genuine: list[int], impostor: list[int]
) -> None:
    error = equal_error_rate(genuine, impostor)
    assert_allclose(error.rate, slow_equal_error(genuine, impostor), atol=1e-12)
    assert np.isfinite(error.threshold)


@pytest.mark.parametrize(
    ("genuine", "impostor", "rate"),
    [([2, 3], [0, 1], 0.0), ([0, 1], [2, 3], 1.0), ([1], [1], 0.5), ([3, 1], [2, 0], 0.5)],
)
def test_known_equal_error_rates(genuine: list[int], impostor: list[int], rate: float) -> None:
    assert equal_error_rate(genuine, impostor).rate == rate


def test_the_equal_error_threshold_splits_the_errors_evenly() -> None:
    genuine, impostor = split()
    error = equal_error_rate(genuine, impostor)
    assert_allclose(np.mean(genuine < error.threshold), error.rate, atol=1 / 3000)
    assert_allclose(np.mean(impostor >= error.threshold), error.rate, atol=1 / 3000)


@pytest.mark.parametrize("rule", TAR_RULES)
def test_many_rates_at_once_are_the_single_ones(rule: str) -> None:
    genuine, impostor = split()
    fars = [1e-4, 0.3, 1e-2]
    singles = tuple(tar_at_far(genuine, impostor, far, rule=rule) for far in fars)
    assert tars_at_fars(genuine, impostor, fars, rule=rule) == singles


@pytest.mark.parametrize(("num", "few"), [(999, True), (1000, False)])
def test_fewer_than_ten_impostors_are_said(num: int, few: bool) -> None:
    point = tar_at_far([1.0], np.linspace(0, 0.5, num), 0.01)
    assert point.few_impostors is few


def test_float32_scores_are_decided_as_they_are() -> None:
    scores = np.float32([0.1, 0.2, 0.3, 0.7])
    point = tar_at_far(scores, scores, 0.5)
    assert (point.tar, point.far_reached) == (0.5, 0.5)
    assert point.accepts(scores).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("genuine", "impostor", "message"),
    [
        ([], [0.1], "must be genuine pairs"),
        ([0.1], [], "must be impostor pairs"),
        ([0.1, np.nan], [0.1], "genuine scores must be finite, found 1 of 2"),
        ([0.1], [np.inf, -np.inf, 0.0], "impostor scores must be finite, found 2 of 3"),
        ([[0.1]], [0.1], r"shape \(1, 1\)"),
    ],
)
def test_scores_without_an_answer_are_refused(
    genuine: list[float], impostor: list[float], message: str
) -> None:
    for measure in (area_under_curve, equal_error_rate, roc_curve):
        with pytest.raises(DataError, match=message) as caught:
            measure(genuine, impostor)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("far", [-0.1, 1.1, np.nan])
def test_a_rate_is_between_zero_and_one(far: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        tar_at_far([1.0], [0.0], far)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="one of at_most, nearest, tinyface, found 'exact'"):
        tar_at_far([1.0], [0.0], 0.1, rule="exact")
