from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.searched import NUM_BINS, LocalShift


def _cosines(batch: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cos_BC = 2.0 * torch.rand(batch, classes, generator=generator, dtype=torch.float64) - 1.0
    return cos_BC, torch.randint(classes, (batch,), generator=generator)


def _by_definition(cos: list[float], label: int, scale: float, theta: list[float]) -> float:
    """-ln(p / (a p + 1 - a)) in 80 digits, a chosen by the bin of p: softmax, ratio, log."""
    with localcontext() as context:
        context.prec = 80
        powers = [(Decimal(scale) * Decimal(value)).exp() for value in cos]
        p = powers[label] / sum(powers)
        bins = [j for j in range(len(theta)) if p <= Decimal(j + 1) / len(theta)]
        a = Decimal(theta[bins[0]])
        return float(-(p / (a * p + 1 - a)).ln())


@pytest.mark.parametrize("scale", [4.0, 32.0, 64.0])
def test_global_is_the_papers_formula(scale: float) -> None:
    cos_BC, labels_B = _cosines(12, 5, seed=1)
    for a in (0.0, -0.5, -1e3, -1e9):
        loss = build_loss("global", scale=scale, theta=[a], space="raw")
        found = loss.per_sample(cos_BC, labels_B).tolist()
        rows = zip(cos_BC.tolist(), labels_B.tolist(), strict=True)
        expected = [_by_definition(cos, label, scale, [a]) for cos, label in rows]
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("scale", [1.0, 4.0, 32.0])
def test_local_is_the_papers_formula_in_every_bin(scale: float) -> None:
    theta = [-float(2**j) for j in range(NUM_BINS)]
    loss = build_loss("local", scale=scale, theta=theta, space="raw")
    # Target probabilities on a grid that misses the edges: one negative, p = sigmoid(s gap).
    p_B = torch.arange(1, 200, 2, dtype=torch.float64) / 200.0
    cos_y_B = (p_B / (1.0 - p_B)).log() / scale
    cos_BC = torch.stack([torch.zeros_like(cos_y_B), cos_y_B], dim=1)
    found = loss.per_sample(cos_BC, torch.ones(len(p_B), dtype=torch.int64)).tolist()
    expected = [_by_definition(cos, 1, scale, theta) for cos in cos_BC.tolist()]
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_bin_contains_its_upper_edge() -> None:
    # Log-odds of 0 are p = 1/2 exactly: the upper edge of bin 4, not the start of bin 5.
    gap_B = torch.tensor([200.0, 1e-9, 0.0, -1e-9, -200.0], dtype=torch.float64)
    loss = LocalShift(1.0, [float(j) for j in range(NUM_BINS)])
    assert loss.shift_of(gap_B).tolist() == [0.0, 4.0, 4.0, 5.0, 9.0]


def test_bins_follow_the_unshifted_probability() -> None:
    # p = 0.55 lies in bin 5 whatever the shifts; only that shift may matter.
    cos_BC = torch.tensor([[0.0, math.log(0.55 / 0.45)]], dtype=torch.float64)
    shifts = [100.0] * NUM_BINS
    shifts[5] = 2.0
    found = LocalShift(1.0, shifts)(cos_BC, torch.tensor([1])).item()
    assert found == pytest.approx(math.log1p(math.exp(2.0) * 0.45 / 0.55), rel=1e-12)


@pytest.mark.parametrize("exponent", range(-3, 13))
def test_a_is_a_cosface_margin(exponent: int) -> None:
    a, scale = -(10.0**exponent), 32.0
    cos_BC, labels_B = _cosines(16, 6, seed=2)
    searched = build_loss("global", scale=scale, theta=[a], space="raw")
    cosface = build_loss("am_softmax", scale=scale, margin=math.log1p(-a) / scale)
    found, expected = (f.per_sample(cos_BC, labels_B) for f in (searched, cosface))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sure_sample_keeps_its_digits(dtype: torch.dtype) -> None:
    # 1 - p is about e^-102: in fp32 p is 1, and a form that goes through p would lose the loss.
    cos_BC = torch.tensor([[0.9, -0.7, -0.8]], dtype=dtype)
    loss = build_loss("local", scale=64.0, theta=[0.3] * NUM_BINS)
    expected = _by_definition(cos_BC[0].double().tolist(), 0, 64.0, [-math.expm1(0.3 * 64.0)])
    assert loss(cos_BC, torch.tensor([0])).item() == pytest.approx(expected, rel=2e-5)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10_000),
    margins=st.lists(st.floats(0.0, 1.0), min_size=10, max_size=10),
    more=st.floats(0.0, 1.0),
    name=st.sampled_from(["global", "local"]),
)
def test_theta_inwards_never_raises_the_target_probability(
    seed: int, margins: list[float], more: float, name: str
) -> None:
    count = 1 if name == "global" else NUM_BINS
    theta = margins[:count]
    harder = [m + more for m in theta]
    cos_BC, labels_B = _cosines(8, 5, seed)
    before = build_loss(name, scale=16.0, theta=theta).per_sample(cos_BC, labels_B)
    after = build_loss(name, scale=16.0, theta=harder).per_sample(cos_BC, labels_B)
    assert (torch.exp(-after) <= torch.exp(-before) * (1 + 1e-12)).all()
    if more > 1e-3:
        assert (after > before).all()


def test_no_gradient_through_the_choice_of_the_bin() -> None:
    cos_BC, labels_B = _cosines(30, 4, seed=3)
    cos_BC.requires_grad_()
    local = build_loss("local", scale=4.0, theta=[0.05 * j for j in range(NUM_BINS)])
    assert isinstance(local, LocalShift)
    (found,) = torch.autograd.grad(local.per_sample(cos_BC, labels_B).sum(), cos_BC)
    # The same shifts as constants, one global loss a sample.
    p_B = torch.softmax(4.0 * cos_BC, 1).gather(1, labels_B[:, None]).squeeze(1)
    for i in range(30):
        shift_bin = min(math.ceil(10 * p_B[i].item()) - 1, 9)
        loss = build_loss("global", scale=4.0, theta=[0.05 * shift_bin])
        row = cos_BC[i : i + 1].detach().requires_grad_()
        (expected,) = torch.autograd.grad(loss(row, labels_B[i : i + 1]), row)
        torch.testing.assert_close(found[i], expected[0])
