from __future__ import annotations

import math

import numpy as np
import pytest

from lfs_ray.errors import ConfigError
from lfs_ray.losses.spaces import SPACES as LOSS_SPACES
from lfs_ray.search.shift_forms import SHIFT_FORMS
from lfs_ray.search.space import SPACES, SearchSpace, build_space, spaces_for

SHIFTS = list(SHIFT_FORMS)
FOLDED = [name for name, form in SPACES.items() if form.folded]


def built(name: str, scale: float = 32.0) -> SearchSpace:
    return build_space(name, scale=scale)


def draws(space: SearchSpace, seed: int = 0) -> np.ndarray:
    """Draws far around the default start, so that every clip and fold is met."""
    normal = np.random.default_rng(seed).standard_normal((200, space.size))
    return np.array(space.default_start) + 5.0 * np.array(space.default_sigma) * normal


def test_names_of_shifts_are_those_of_the_losses() -> None:
    assert set(SHIFTS) == set(LOSS_SPACES)


@pytest.mark.parametrize("scale", [16.0, 32.0, 64.0])
@pytest.mark.parametrize("name", SHIFTS)
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


@pytest.mark.parametrize("name", SHIFTS)
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
    inside_BD = np.array([space.default_start])
    np.testing.assert_array_equal(space.project(inside_BD), inside_BD)
    assert space.margin(space.project(np.array([[1e3]])))[0] == pytest.approx(0.6, rel=1e-12)
    assert space.margin(space.project(np.array([[-1e3]])))[0] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("name", FOLDED)
def test_folded_spaces_take_the_negative_magnitude(name: str) -> None:
    space = built(name)
    draw_BD = draws(space)
    np.testing.assert_array_equal(space.project(draw_BD), -np.abs(draw_BD))
    np.testing.assert_array_equal(space.project(-draw_BD), space.project(draw_BD))


@pytest.mark.parametrize("scale", [16.0, 64.0])
@pytest.mark.parametrize("name", SPACES)
def test_defaults_are_a_start_from_which_a_policy_can_move(name: str, scale: float) -> None:
    space = built(name, scale)
    low, high = np.array(space.bounds)
    start, sigma = np.array(space.default_start), np.array(space.default_sigma)
    assert np.all((low < start) & (start < high))
    assert np.all((np.array(space.default_learning_rate) > 0.0) & np.isfinite(sigma))
    assert np.all(np.array(space.default_learning_rate) < sigma)
    assert len(low) == len(high) == len(start) == len(sigma) == space.size


def test_log_starts_and_moves_as_margin_does() -> None:
    margin, log = build_space("margin"), build_space("log")
    start_BD = np.array([log.default_start])
    assert log.margin(start_BD)[0] == pytest.approx(margin.default_start[0], rel=1e-12)
    moved = log.margin(start_BD + 3.0 * log.default_sigma[0])[0] - 0.05
    assert moved == pytest.approx(3.0 * margin.default_sigma[0], rel=0.1)


def test_names() -> None:
    assert build_space("margin").names == ("margin",)
    assert build_space("log", 3).names == ("rho_0", "rho_1", "rho_2")
    assert build_space("released-local").names == tuple(f"a_raw_{j}" for j in range(10))
    assert build_space("sample-margin").names == ("margin_mean", "margin_sd")
    assert build_space("taylor").names == tuple(f"c_{j}" for j in range(8))
    assert build_space("piecewise", bins=2).names == (
        *("t_slope_0", "t_slope_1", "t_intercept_0", "t_intercept_1"),
        *("tau_slope_0", "tau_slope_1", "tau_intercept_0", "tau_intercept_1"),
    )
    assert build_space("piecewise-monotone", bins=1).names == ("t_slope", "tau_slope")
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
        ({"name": "piecewise", "size": 10}, "multiple of 4; found 10"),
        ({"name": "piecewise", "bins": 0}, "bins of a search space must be at least 1; found 0"),
        ({"name": "piecewise", "size": 20, "loss": "am_lfs"}, "has size 24; found 20"),
        ({"name": "taylor", "size": 7}, "size 8; found 7"),
        ({"name": "margin", "loss": "taylor"}, "loss taylor must be one of taylor; found margin"),
        (
            {"name": "released-local", "loss": "global"},
            "loss global must be one of margin, raw, log, released-global; found released-local",
        ),
        ({"name": "margin", "loss": "arcface"}, "loss arcface has no numbers to search"),
    ],
)
def test_unusable_parameters_are_one_line_each(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        build_space(**wrong)  # type: ignore[arg-type]
    assert len(caught.value.mistakes) == 1
    assert "\n" not in str(caught.value)


# ---- which space for which loss


@pytest.mark.parametrize(
    ("loss", "spaces"),
    [
        ("global", ("margin", "raw", "log", "released-global")),
        ("local", ("margin", "raw", "log", "released-local")),
        ("am_lfs", ("piecewise", "piecewise-continuous", "piecewise-monotone")),
        ("random_margin", ("sample-margin",)),
        ("taylor", ("taylor",)),
        ("arcface", ()),
    ],
)
def test_spaces_that_fit_a_loss(loss: str, spaces: tuple[str, ...]) -> None:
    assert spaces_for(loss) == spaces
    for name in spaces:
        assert build_space(name, loss=loss).size == SPACES[name].size_for(loss, 6)


def test_sizes_follow_from_loss_and_bins() -> None:
    sizes = {
        (name, loss, bins): build_space(name, loss=loss, bins=bins).size
        for name, form in SPACES.items()
        for loss in form.losses
        for bins in (6, 3)
    }
    assert {key: size for key, size in sizes.items() if key[0].startswith("piecewise")} == {
        ("piecewise", "am_lfs", 6): 24,
        ("piecewise", "am_lfs", 3): 12,
        ("piecewise-continuous", "am_lfs", 6): 12,
        ("piecewise-continuous", "am_lfs", 3): 6,
        ("piecewise-monotone", "am_lfs", 6): 12,
        ("piecewise-monotone", "am_lfs", 3): 6,
    }
    assert sizes["margin", "local", 3] == sizes["margin", "local", 6] == 10
    assert sizes["margin", "global", 6] == 1
    assert {name: build_space(name).size for name in SPACES} == {
        name: SPACES[name].size_for(next(iter(SPACES[name].losses)), 6) for name in SPACES
    }


# ---- spaces of several unlike numbers


def piecewise_linear(
    slopes: np.ndarray, intercepts: np.ndarray, x: np.ndarray, low: float
) -> object:
    bins = np.clip(np.floor((x - low) / (1.0 - low) * len(slopes)).astype(int), 0, len(slopes) - 1)
    return slopes[bins] * x + intercepts[bins]


@pytest.mark.parametrize("bins", [1, 6, 9])
def test_piecewise_starts_at_the_identity(bins: int) -> None:
    space = build_space("piecewise", bins=bins)
    t_slopes, t_intercepts, tau_slopes, tau_intercepts = np.split(np.array(space.default_start), 4)
    x = np.linspace(-1.2, 1.2, 97)
    np.testing.assert_array_equal(piecewise_linear(t_slopes, t_intercepts, x, -1.0), x)
    np.testing.assert_array_equal(piecewise_linear(tau_slopes, tau_intercepts, x, 0.0), x)
    assert set(space.default_sigma) == {0.2}
    assert set(space.default_learning_rate) == {0.05}
    for name in ("piecewise-continuous", "piecewise-monotone"):
        assert build_space(name, bins=bins).default_start == (1.0,) * 2 * bins


def test_piecewise_spaces_differ_in_their_bounds_alone() -> None:
    draw_BD = np.linspace(-2.0, 3.0, 24).reshape(2, 12)
    free, monotone = (build_space(f"piecewise-{name}") for name in ("continuous", "monotone"))
    np.testing.assert_array_equal(free.project(draw_BD), draw_BD)
    np.testing.assert_array_equal(monotone.project(draw_BD), np.maximum(draw_BD, 0.0))


@pytest.mark.parametrize("name", ["piecewise", "piecewise-continuous", "taylor"])
def test_losses_that_are_no_margin_have_none(name: str) -> None:
    space = built(name)
    assert np.isnan(space.margin(space.project(draws(space)))).tolist() == [True] * 200


def test_the_margin_of_random_margins_is_their_mean() -> None:
    space = build_space("sample-margin", upper=0.6)
    theta_BD = space.project(np.array([[0.25, 0.1], [-1.0, -1.0], [9.0, 9.0]]))
    assert theta_BD.tolist() == [[0.25, 0.1], [0.0, 0.0], [0.6, 0.3]]
    assert space.margin(theta_BD).tolist() == [0.25, 0.0, 0.6]


def taylor_loss(c: tuple[float, ...], p: np.ndarray, target: float) -> np.ndarray:
    """-1 times the polynomial of one class, TaylorGLO's k = 3."""
    t, q = target - c[1], p - c[0]
    even = c[2] * t + c[3] / 2.0 * t**2 + c[4] / 6.0 * t**3
    return -(even + c[5] * q * t + c[6] / 2.0 * q * t**2 + c[7] / 2.0 * q**2 * t)


def test_taylor_starts_at_cross_entropy_to_second_order() -> None:
    start = build_space("taylor").default_start
    p = 0.5 + np.array([-1e-3, 0.0, 1e-3])
    np.testing.assert_allclose(taylor_loss(start, p, 1.0), -np.log(p), atol=3e-9)
    np.testing.assert_array_equal(taylor_loss(start, np.linspace(0.0, 1.0, 9), 0.0), 0.0)
    whole = taylor_loss(start, np.linspace(0.0, 1.0, 101), 1.0)
    assert np.all(np.diff(whole) < 0.0), "a higher probability of the target is always better"


def test_span_is_the_bounds_or_five_sigma_where_there_is_none() -> None:
    assert build_space("margin", upper=0.5).span((0.05,), (0.1,)) == ((0.0,), (0.5,))
    assert build_space("raw").span((-1.0,), (0.2,)) == ((-2.0,), (0.0,))
    assert build_space("raw").span((1.0,), (0.2,)) == ((-2.0,), (0.0,))
    low, high = build_space("piecewise-monotone", bins=1).span((1.0, 1.0), (0.2, 0.3))
    assert (low, high) == ((0.0, 0.0), (2.0, 2.5))
    low, high = build_space("piecewise", bins=1).span((1.0, 0.0, 1.0, 0.0), (0.2,) * 4)
    assert (low, high) == ((0.0, -1.0, 0.0, -1.0), (2.0, 1.0, 2.0, 1.0))


def test_one_number_stands_for_all_components() -> None:
    space = build_space("sample-margin")
    assert space.per_component(0.2) == space.per_component((0.2,)) == (0.2, 0.2)
    assert space.per_component((0.2, 0.1)) == (0.2, 0.1)
