from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.errors import ConfigError
from lfs_ray.search.rewards import SHAPINGS, advantages

MEASURED = [0.9905, 0.9920, 0.9930, 0.9915]
scores = st.floats(min_value=0.0, max_value=1.0)
populations = st.lists(st.one_of(scores, st.just(math.nan)), min_size=1, max_size=12)


def test_golden_advantages() -> None:
    np.testing.assert_allclose(
        advantages(MEASURED), [-1.386750, 0.277350, 1.386750, -0.277350], atol=5e-7
    )
    np.testing.assert_allclose(
        advantages(MEASURED, "range"), [-0.999600, 0.199920, 0.999600, -0.199920], atol=5e-7
    )
    np.testing.assert_allclose(advantages(MEASURED, "rank"), [-1.0, 1 / 3, 1.0, -1 / 3])
    np.testing.assert_allclose(
        advantages(MEASURED, "centre"), [-0.00125, 0.00025, 0.00125, -0.00025], atol=1e-15
    )


@pytest.mark.parametrize("shaping", SHAPINGS)
@given(rewards=populations)
def test_advantages_sum_to_zero_and_keep_the_order(shaping: str, rewards: list[float]) -> None:
    shaped = advantages(rewards, shaping)
    kept = np.isfinite(rewards)
    np.testing.assert_array_equal(np.isfinite(shaped), kept)
    assert abs(shaped[kept].sum()) < 1e-9
    order = np.argsort(np.array(rewards)[kept], kind="stable")
    assert np.all(np.diff(shaped[kept][order]) >= 0.0)


@pytest.mark.parametrize("shaping", SHAPINGS)
@given(rewards=populations, shift=st.sampled_from([-0.5, 0.25, 1.0]))
def test_a_constant_changes_nothing(shaping: str, rewards: list[float], shift: float) -> None:
    # In steps of 2^-14, so that adding the constant itself is exact.
    coarse = np.round(np.array(rewards) * 2**14) / 2**14
    shifted = advantages(coarse + shift, shaping)
    np.testing.assert_allclose(shifted, advantages(coarse, shaping), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("shaping", SHAPINGS)
@given(rewards=populations, failure=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_failed_member_equals_an_absent_one(
    shaping: str, rewards: list[float], failure: float
) -> None:
    kept = [r for r in rewards if math.isfinite(r)]
    shaped = advantages([failure if math.isnan(r) else r for r in rewards], shaping)
    assert shaped[np.isfinite(rewards)].tolist() == advantages(kept, shaping).tolist()
    assert np.isnan(shaped[~np.isfinite(rewards)]).all()


@pytest.mark.parametrize("shaping", SHAPINGS)
@given(rewards=populations, seed=st.integers(0, 99))
def test_the_order_of_members_does_not_show(shaping: str, rewards: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(rewards))
    direct = advantages(np.array(rewards)[order], shaping)
    np.testing.assert_array_equal(direct, advantages(rewards, shaping)[order])


@pytest.mark.parametrize("shaping", SHAPINGS)
@pytest.mark.parametrize("value", [0.1, 0.3, 0.7, 1e-9])
@pytest.mark.parametrize("members", [1, 3, 6])
def test_equal_rewards_are_exactly_zero(shaping: str, value: float, members: int) -> None:
    assert advantages([value] * members, shaping).tolist() == [0.0] * members


def test_std_has_unit_variance_above_the_floor_and_less_below() -> None:
    assert advantages(MEASURED).std() == pytest.approx(1.0, rel=1e-12)
    one_pair_of_6000 = [0.5, 0.5, 0.5, 0.5 + 1 / 6000]
    assert 0.0 < advantages(one_pair_of_6000).std() < 0.75
    assert advantages(one_pair_of_6000, floor=1e-9).std() == pytest.approx(1.0, rel=1e-9)


def test_equal_rewards_share_their_rank() -> None:
    assert advantages([0.5, 0.9, 0.5, math.nan], "rank").tolist()[:3] == [-0.5, 1.0, -0.5]


def test_no_survivor_leaves_no_advantage() -> None:
    assert np.isnan(advantages([math.nan, math.nan])).all()


def test_unusable_parameters() -> None:
    with pytest.raises(ConfigError, match="one of std, centre, range, rank; found 'z'"):
        advantages(MEASURED, "z")
    with pytest.raises(ConfigError, match="positive; found 0"):
        advantages(MEASURED, floor=0.0)
