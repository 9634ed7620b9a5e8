from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
import torch
from heads import make, per_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from slow import agree, batch, cross_entropy
from torch import Tensor

from lfs_ray.errors import ConfigError
from lfs_ray.losses.am_lfs import AmLfs, lines, log_line
from lfs_ray.losses.catalogue import LOSSES, build_loss

T = (1.2, 1.1, 1.0, 1.0, 0.9, 0.8, -0.1, -0.15, -0.2, -0.25, -0.3, -0.35)
TAU = (0.9, 0.95, 1.0, 1.05, 1.1, 1.15, -0.001, 0.002, 0.003, -0.02, -0.08, -0.15)
IDENTITY = (1.0,) * 6 + (0.0,) * 6


def _line(x: float, given: tuple[float, ...], low: float, high: float) -> float:
    bins = len(given) // 2
    position = math.floor((x - low) / (high - low) * bins)
    i = min(max(position, 0), bins - 1)
    return given[i] * x + given[bins + i]


@pytest.mark.parametrize("clamp", ["relative", "absolute", "tau-off"])
@pytest.mark.parametrize("scale", [2.0, 16.0])
@pytest.mark.parametrize("tau", [TAU, IDENTITY, tuple(-x for x in TAU)])
def test_slow_reference(clamp: str, scale: float, tau: tuple[float, ...]) -> None:
    def reference(c_y: float, others: list[float]) -> float:
        z = [scale * c for c in others]
        minus_log_p = cross_entropy(scale * _line(c_y, T, -1.0, 1.0), z)
        p = math.exp(-minus_log_p)
        if clamp == "tau-off":
            return minus_log_p
        floor = 1e-12 if clamp == "absolute" else 1e-4 * p
        return -math.log(max(_line(p, tau, 0.0, 1.0), floor))

    agree(make("am_lfs", 9, scale=scale, theta=T + tau, clamp=clamp, kappa=1e-4), reference)


@pytest.mark.parametrize("bins", [1, 2, 5, 10])
def test_number_of_bins(bins: int) -> None:
    slopes = tuple(1.0 - 0.05 * j for j in range(bins))
    intercepts = tuple(-0.02 * j for j in range(bins))

    def reference(c_y: float, others: list[float]) -> float:
        minus_log_p = cross_entropy(
            4.0 * _line(c_y, slopes + intercepts, -1.0, 1.0), [4.0 * c for c in others]
        )
        p = math.exp(-minus_log_p)
        return -math.log(max(_line(p, slopes + intercepts, 0.0, 1.0), 1e-6 * p))

    theta = slopes + intercepts + slopes + intercepts
    agree(make("am_lfs", 9, scale=4.0, theta=theta, bins=bins), reference)


@pytest.mark.parametrize("clamp", ["relative", "tau-off"])
@pytest.mark.parametrize("space", LOSSES["am_lfs"].spaces)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_identity_is_normface_to_rounding(clamp: str, space: str, dtype: torch.dtype) -> None:
    cos_BC, labels_B = batch(0)
    sure_BC = torch.tensor([[0.95, -0.9, -0.8, -0.7, 0.0, 0.1, 0.2, 0.3, -0.1]])
    cos_BC, labels_B = torch.cat([cos_BC, sure_BC]), torch.cat([labels_B, torch.tensor([0])])
    cos_BC = cos_BC.to(dtype).requires_grad_()
    theta = (1.0,) * 12 if space != "piecewise" else IDENTITY + IDENTITY
    loss = make("am_lfs", 9, scale=64.0, theta=theta, space=space, clamp=clamp)
    plain = make("normface", 9, scale=64.0)
    found_B, expected_B = (per_sample(one, cos_BC, labels_B) for one in (loss, plain))
    assert torch.equal(found_B, expected_B)
    (found,) = torch.autograd.grad(found_B.sum(), cos_BC)
    (expected,) = torch.autograd.grad(expected_B.sum(), cos_BC)
    torch.testing.assert_close(found, expected)


def test_intercepts_of_t_are_an_am_margin() -> None:
    cos_BC, labels_B = batch(1)
    theta = (1.0,) * 6 + (-0.35,) * 6 + IDENTITY
    found = per_sample(make("am_lfs", 9, scale=32.0, theta=theta), cos_BC, labels_B)
    am = make("am_softmax", 9, scale=32.0, margin=0.35)
    torch.testing.assert_close(found, per_sample(am, cos_BC, labels_B))


@pytest.mark.parametrize(
    ("clamp", "gradient_left"), [("relative", True), ("absolute", False), ("tau-off", True)]
)
def test_what_a_clamp_does_to_the_hardest_sample(clamp: str, gradient_left: bool) -> None:
    cos_BC = torch.tensor([[-0.9, 0.9]], requires_grad=True)
    negative = (1.0,) * 6 + (-0.3,) * 6
    for tau in (IDENTITY, negative):
        loss = make("am_lfs", 2, scale=64.0, theta=IDENTITY + tau, clamp=clamp)
        value = loss(cos_BC, torch.tensor([0]))
        assert value.isfinite()
        (grad,) = torch.autograd.grad(value, cos_BC)
        assert grad.isfinite().all()
        assert (grad[0, 0].item() == pytest.approx(-64.0)) == gradient_left
        assert (grad.abs().max().item() == 0.0) != gradient_left


def test_relative_clamp_at_its_floor() -> None:
    cos_BC = torch.tensor([[-0.5, 0.5]], dtype=torch.float64)
    theta = (*IDENTITY, *(1.0,) * 6, *(-0.3,) * 6)
    found = make("am_lfs", 2, scale=64.0, theta=theta, kappa=1e-3)(cos_BC, torch.tensor([0]))
    assert found.item() == pytest.approx(64.0 - math.log(1e-3), rel=1e-14)


def test_a_positive_first_intercept_caps_the_loss() -> None:
    cos_BC = torch.tensor([[-1.0, 1.0]])
    theta = (*IDENTITY, *(1.0,) * 6, 0.001, *(0.0,) * 5)
    found = make("am_lfs", 2, scale=64.0, theta=theta)(cos_BC, torch.tensor([0]))
    assert found.item() == pytest.approx(-math.log(0.001), rel=1e-6)


def test_bins_are_closed_on_the_left_and_go_on_beyond_the_ends() -> None:
    loss = make("am_lfs", 2, theta=tuple(float(j) for j in range(24)))
    assert isinstance(loss, AmLfs)
    x_B = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5], dtype=torch.float64)
    slopes, intercepts = loss.t.at(x_B)
    assert slopes.tolist() == [0.0, 0.0, 1.0, 3.0, 4.0, 5.0, 5.0]
    assert intercepts.tolist() == [6.0, 6.0, 7.0, 9.0, 10.0, 11.0, 11.0]
    slopes, _ = loss.tau.at(torch.tensor([0.0, 0.49, 0.5, 1.0], dtype=torch.float64))
    assert slopes.tolist() == [12.0, 14.0, 15.0, 17.0]


@settings(deadline=None, max_examples=50)
@given(
    slopes=st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=16).filter(lambda v: not len(v) % 2)
)
def test_continuous_lines_meet_at_the_edges(slopes: list[float]) -> None:
    of_t, of_tau = lines(slopes, "piecewise-continuous")
    bins = len(slopes) // 2
    assert of_t[:bins] + of_tau[:bins] == tuple(slopes)
    for given_lines, low in ((of_t, -1.0), (of_tau, 0.0)):
        assert given_lines[0] * low + given_lines[bins] == pytest.approx(low, abs=1e-12)
        for i in range(1, bins):
            edge = low + (1.0 - low) * i / bins
            left = given_lines[i - 1] * edge + given_lines[bins + i - 1]
            right = given_lines[i] * edge + given_lines[bins + i]
            assert left == pytest.approx(right, abs=1e-12)


def test_monotone_lines_are_the_continuous_ones_and_never_fall() -> None:
    slopes = [0.0, 2.0, 0.5, 1.0, 0.0, 3.0]
    assert lines(slopes, "piecewise-monotone") == lines(slopes, "piecewise-continuous")
    with pytest.raises(ConfigError, match=r"must be finite and >= 0, found -0\.1"):
        lines([1.0, -0.1], "piecewise-monotone")


@pytest.mark.parametrize("space", LOSSES["am_lfs"].spaces)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_theta_must_be_finite(space: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"space '{space}' must be finite.*found {value}"):
        lines([1.0, 1.0, 1.0, value], space)


@pytest.mark.parametrize(
    ("space", "bins", "wanted"),
    [("piecewise", 6, 24), ("piecewise-continuous", 6, 12), ("piecewise-monotone", 4, 8)],
)
def test_size_of_theta(space: str, bins: int, wanted: int) -> None:
    build_loss("am_lfs", theta=[1.0] * wanted, space=space, bins=bins)
    with pytest.raises(ConfigError, match=rf"'{space}' must have {wanted} number\(s\), found 7"):
        build_loss("am_lfs", theta=[1.0] * 7, space=space, bins=bins)


def _exact(log_p: float, slope: float, intercept: float) -> float:
    with localcontext() as context:
        context.prec = 60
        tau = Decimal(slope) * Decimal(log_p).exp() + Decimal(intercept)
        return float(tau.ln()) if tau > 0 else -math.inf


@pytest.mark.parametrize("log_p", [-300.0, -90.0, -5.0, -0.7, -0.69, -0.3, -1e-3, -1e-9, -1e-30])
@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        *((1.0, 0.0), (0.25, 0.0), (0.5, 0.5), (1.5, -0.5), (1.0, -0.2), (-0.5, 0.8)),
        *((0.0, 0.3), (-1.0, 0.0), (0.0, 0.0), (1.0, -2.0), (2.0, 1e-30)),
    ],
)
def test_log_line(log_p: float, slope: float, intercept: float) -> None:
    log_p_B = torch.tensor([log_p], dtype=torch.float64, requires_grad=True)
    line_2B = torch.tensor([[slope], [intercept]], dtype=torch.float64)
    found_B = log_line(log_p_B, *line_2B)
    expected = _exact(log_p, slope, intercept)
    assert found_B.item() == pytest.approx(expected, rel=1e-13, abs=1e-15)
    (grad,) = torch.autograd.grad(found_B.sum(), log_p_B)
    p = math.exp(log_p)
    wanted = 0.0
    if expected > -math.inf:
        wanted = 1.0 if intercept == 0.0 else slope * p / (slope * p + intercept)
    assert grad.item() == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_a_sure_sample_keeps_its_digits_where_tau_ends_at_one() -> None:
    # tau(1) = 1.5 - 0.5: 1 - p is e^-102, below float32's rounding of 1.
    log_p_B = torch.tensor([-math.exp(-50.0)])
    found = log_line(log_p_B, torch.tensor([1.5]), torch.tensor([-0.5]))
    assert found.item() == pytest.approx(-1.5 * math.exp(-50.0), rel=1e-6)


def test_numbers_of_theta_are_no_state() -> None:
    loss = make("am_lfs", 2, theta=IDENTITY + IDENTITY)
    assert not loss.state_dict()
    assert not list(loss.parameters())


def test_no_gradient_through_the_choice_of_a_bin() -> None:
    cos_B = torch.linspace(-0.99, 0.99, 67, dtype=torch.float64).requires_grad_()
    loss = make("am_lfs", 2, scale=1.0, theta=T + TAU)
    assert isinstance(loss, AmLfs)
    slope_B, intercept_B = loss.t.at(cos_B)
    assert not slope_B.requires_grad
    (found,) = torch.autograd.grad((slope_B * cos_B + intercept_B).sum(), cos_B)
    expected: Tensor = torch.tensor([T[min(int((c + 1) * 3), 5)] for c in cos_B.tolist()])
    torch.testing.assert_close(found, expected.double())
