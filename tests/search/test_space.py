from __future__ import annotations

import math

import numpy as np
import pytest

from lfs_ray.errors import ConfigError
from lfs_ray.losses.spaces import SPACES as LOSS_SPACES
from lfs_ray.search.space import SPACES, SearchSpace, build_space


def built(name: str, scale: float = 32.0) -> SearchSpace:
    return build_space(name, SPACES[name].size or 1, scale)


def draws(space: SearchSpace, seed: int = 0) -> np.ndarray:
    """Draws far around the default start, so that every clip and fold is met."""
    normal = np.random.default_rng(seed).standard_normal((200, space.size))
    return space.default_start + 5.0 * space.default_sigma * normal


def test_names_are_those_of_the_losses() -> None:
    assert set(SPACES) == set(LOSS_SPACES)


@pytest.mark.parametrize("scale", [16.0, 32.0, 64.0])
@pytest.mark.parametrize("name", SPACES)
def test_margin_times_scale_is_the_shift_of_the_losses(name: str, scale: float) -> None:
    space = built(name, scale)
    theta_BD = space.project(draws(space))
    expected_BD = [LOSS_SPACES[name](theta, scale) for theta in theta_BD.tolist()]
    shifts_BD = scale * space.margins(theta_BD)
    np.testing.assert_allclose(shifts_BD, expected_BD, rtol=1e-12, atol=1e-14)


# Margins of a at two scales, and sampled a_raw at s = 32: derived from delta = ln(1 - a).
@pytest.mark.parametrize(
    ("name", "theta", "scale", "margin"),
    [
        ("raw", -1.0, 32.0, 0.02166),
        ("raw", -1000.0, 32.0, 0.21590),
        ("raw", -1000.0, 64.0, 0.10795),
        ("log", math.log(10000.0), 32.0, 0.28783),
        ("released-global", -0.01, 32.0, 0.189),
        ("released-global", -0.2, 32.0, 0.283),
        ("released-global", -1.0, 32.0, 0.333),
        ("margin", 0.35, 64.0, 0.35),
    ],
)
def test_equivalent_margins(name: str, theta: float, scale: float, margin: float) -> None:
    digits = 3 if name == "released-global" else 5
    space = build_space(name, 1, scale)
    assert round(float(space.margin(np.array([[theta]]))[0]), digits) == margin


def test_released_local_spans_half_the_scale() -> None:
    assert built("released-local").margin(np.full((1, 10), -1.0))[0] == pytest.approx(
        0.5, abs=1e-5
    )


@pytest.mark.parametrize("name", SPACES)
def test_margin_is_the_mean_over_the_bins(name: str) -> None:
    space = build_space(name, SPACES[name].size or 10)
    theta_BD = space.project(draws(space))
    each_BD = [[shift / 32.0 for shift in LOSS_SPACES[name](row, 32.0)] for row in theta_BD]
    np.testing.assert_allclose(space.margin(theta_BD), np.mean(each_BD, axis=1), rtol=1e-12)


@pytest.mark.parametrize("name", SPACES)
def test_projection_ends_inside_the_bounds_and_stays(name: str) -> None:
    space = built(name)
    low, high = space.bounds
    theta_BD = space.project(draws(space))
    assert theta_BD.shape == (200, space.size)
    assert np.all((low <= theta_BD) & (theta_BD <= high))
    np.testing.assert_array_equal(space.project(theta_BD), theta_BD)
    assert not np.signbit(space.project(np.zeros((1, space.size)))[0, 0]), (
        "no minus zero in tables"
    )


@pytest.mark.parametrize("name", ["margin", "log"])
def test_clipped_spaces_keep_draws_within_and_reach_the_upper_margin(name: str) -> None:
    space = build_space(name, 1, 32.0, upper=0.6)
    inside_BD = np.array([[space.default_start]])
    np.testing.assert_array_equal(space.project(inside_BD), inside_BD)
    assert space.margin(space.project(np.array([[1e3]])))[0] == pytest.approx(0.6, rel=1e-12)
    assert space.margin(space.project(np.array([[-1e3]])))[0] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("name", ["raw", "released-global", "released-local"])
def test_folded_spaces_take_the_negative_magnitude(name: str) -> None:
    space = built(name)
    draw_BD = draws(space)
    np.testing.assert_array_equal(space.project(draw_BD), -np.abs(draw_BD))
    np.testing.assert_array_equal(space.project(-draw_BD), space.project(draw_BD))


@pytest.mark.parametrize("scale", [16.0, 64.0])
@pytest.mark.parametrize("name", SPACES)
def test_defaults_are_a_start_from_which_a_policy_can_move(name: str, scale: float) -> None:
    space = built(name, scale)
    low, high = space.bounds
    assert low < space.default_start < high
    assert 0.0 < space.default_learning_rate < space.default_sigma


def test_log_starts_and_moves_as_margin_does() -> None:
    margin, log = build_space("margin"), build_space("log")
    start_BD = np.array([[log.default_start]])
    assert log.margin(start_BD)[0] == pytest.approx(margin.default_start, rel=1e-12)
    moved = log.margin(start_BD + 3.0 * log.default_sigma)[0] - 0.05
    assert moved == pytest.approx(3.0 * margin.default_sigma, rel=0.1)


def test_names() -> None:
    assert build_space("margin").names == ("margin",)
    assert build_space("log", 3).names == ("rho_0", "rho_1", "rho_2")
    assert len({SPACES[name].unit for name in SPACES}) == len(SPACES)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"name": "margins"}, "one of margin, raw"),
        ({"name": "released-local", "size": 1}, "size 10; found 1"),
        ({"name": "released-global", "size": 10}, "size 1; found 10"),
        ({"size": 0}, "at least 1; found 0"),
        ({"scale": 0.0}, "scale must lie"),
        ({"scale": math.nan}, "scale must lie"),
        ({"upper": 3.0}, "margin must lie"),
    ],
)
def test_unusable_parameters_are_one_line_each(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        build_space(**wrong)  # type: ignore[arg-type]
    assert len(caught.value.mistakes) == 1
    assert "\n" not in str(caught.value)
