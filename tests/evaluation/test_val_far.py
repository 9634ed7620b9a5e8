"""VAL@FAR against golden values, the order-1 spline, and a loop over all thresholds."""

from __future__ import annotations

import time

import numpy as np
import pytest
from golden_pairs import golden_pairs, random_pairs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation.val_far import val_at_far


def test_golden_values() -> None:
    result = val_at_far(*golden_pairs())
    found = [result.val, result.std, result.far, float(np.mean(result.thresholds))]
    assert_allclose(found[:3], [0.665666667, 0.016058919, 0.003333333], atol=5e-10)
    assert_allclose(found[3], 1.300854, atol=5e-7)
    assert (result.rule, result.target, result.notes) == ("adjacent", 1e-3, ())


def slow_threshold(distance: np.ndarray, target: float) -> float:
    """Walks along the curve of (FAR, threshold) of the training negatives to the target."""
    grid = np.arange(0, 4, 0.001)
    far = [float(np.mean(distance < threshold)) for threshold in grid]
    if max(far) < target:
        return 0.0
    last = max(place for place, rate in enumerate(far) if rate <= target)
    if last == len(grid) - 1:
        return float(grid[last])
    share = (target - far[last]) / (far[last + 1] - far[last])
    return float(grid[last] + share * (grid[last + 1] - grid[last]))


@given(
    seed=st.integers(0, 2**32 - 1),
    decimals=st.sampled_from([1, 2, 6]),
    sizes=st.lists(st.integers(4, 12), min_size=2, max_size=4),
    target=st.sampled_from([0.0, 1e-3, 0.1, 0.5, 0.99]),
)
@settings(max_examples=20, deadline=None)
def test_any_pairs_equal_the_slow_routine(
    seed: int, decimals: int, sizes: list[int], target: float
) -> None:
    score, same, fold = random_pairs(seed, decimals, sizes)
    assume(all(0 < same[fold == own].mean() < 1 for own in np.unique(fold)))
    distance = 2 - 2 * score
    thresholds, vals, fars = [], [], []
    for own in np.unique(fold):
        threshold = slow_threshold(distance[(fold != own) & ~same], target)
        accepted = distance < threshold
        thresholds.append(threshold)
        vals.append(np.mean(accepted[(fold == own) & same]))
        fars.append(np.mean(accepted[(fold == own) & ~same]))
    result = val_at_far(score, same, fold, far=target)
    assert list(result.thresholds) == thresholds
    assert_allclose(
        [result.val, result.std, result.far], [np.mean(vals), np.std(vals), np.mean(fars)]
    )
    assert (result.accepted_P == (distance < np.array(thresholds)[fold])).all()


def test_it_is_the_published_spline_where_rates_do_not_repeat() -> None:
    # One negative in every gap of the grid: FAR rises at every point and the spline is defined.
    interpolate = pytest.importorskip("scipy.interpolate")
    grid = np.arange(0, 4, 0.001)
    distance = np.tile(grid + 0.0005, 2)
    score, fold = 1 - distance / 2, np.repeat([0, 1], len(grid))
    score = np.concatenate([score, [0.9, 0.9]])
    same = np.arange(len(score)) >= len(distance)
    result = val_at_far(score, same, np.concatenate([fold, [0, 1]]), far=0.12345)
    far = [np.mean(distance[: len(grid)] < threshold) for threshold in grid]
    expected = interpolate.interp1d(far, grid, kind="slinear")(0.12345)
    assert_allclose(result.thresholds, [expected, expected], rtol=1e-12)


def test_a_target_no_fold_reaches_accepts_nothing() -> None:
    # Opposite vectors have the distance 4, which no threshold of the grid lies above.
    score, same, fold = [1.0, -1.0, 1.0, -1.0], [True, False] * 2, [0, 0, 1, 1]
    result = val_at_far(score, same, fold, far=1e-3)
    assert (result.val, result.thresholds) == (0.0, (0.0, 0.0))


def test_a_target_reached_at_the_end_of_the_grid_only() -> None:
    # Half of the negatives at distance 2, half at 4: FAR is .5 from 2.001 up to the end, 3.999.
    score, same, fold = [0.0, -1.0, 1.0] * 2, [False, False, True] * 2, [0] * 3 + [1] * 3
    assert val_at_far(score, same, fold, far=0.5).thresholds == (3.999, 3.999)


def test_no_fold_sees_its_own_pairs() -> None:
    score, same, fold = random_pairs(3, 6, [40, 60, 50])
    before = val_at_far(score, same, fold, far=0.05).thresholds
    score[fold == 1] = -score[fold == 1]
    after = val_at_far(score, same, fold, far=0.05).thresholds
    assert after[1] == before[1]
    assert after[0] != before[0]


def test_fewer_than_ten_folds_are_said() -> None:
    notes = val_at_far(*random_pairs(3, 6, [20] * 4)).notes
    assert notes == ("4 folds, published results have 10",)


@pytest.mark.parametrize(
    ("score", "same", "fold", "message"),
    [
        ([0.5] * 5, [1, 0, 1, 0, 1], [0, 0, 1, 1, 2], "found 1 same of 1 in the fold of rank 2"),
        ([0.5] * 5, [1, 0, 1, 0, 0], [0, 0, 1, 1, 2], "found 0 same of 1 in the fold of rank 2"),
        ([0.5, np.nan, 0.5, 0.5], [1, 0, 1, 0], [0, 0, 1, 1], "must be finite"),
        ([0.5] * 4, [1] * 4, [0, 0, 1, 1], "found 2 same of 2"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    score: list[float], same: list[int], fold: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        val_at_far(score, same, fold)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("far", [-0.1, 1.0, np.nan])
def test_a_rate_is_below_one(far: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        val_at_far(*golden_pairs(), far=far)


def test_six_thousand_pairs_take_milliseconds() -> None:
    pairs, took = golden_pairs(), []
    for _ in range(5):
        start = time.process_time()
        val_at_far(*pairs)
        took.append(time.process_time() - start)
    assert min(took) < 0.05
