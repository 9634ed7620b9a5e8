from __future__ import annotations

import doctest
import math

import pytest
import torch
from heads import Head, cosines, look, make, per_sample
from slow import batch, cross_entropy
from torch import Tensor

from lfs_ray.errors import ConfigError
from lfs_ray.losses import adaptive
from lfs_ray.losses.adaptive import AdaCos, AdaMSoftmax, fixed_scale


def _next_scale(scale: float, cos_BC: Tensor, labels_B: Tensor) -> float:
    """s_t by loops, from cosines."""
    rows = list(zip(cos_BC.tolist(), labels_B.tolist(), strict=True))
    total = sum(math.exp(scale * c) for row, y in rows for j, c in enumerate(row) if j != y)
    angles = sorted(math.acos(row[y]) for row, y in rows)
    median = angles[(len(angles) - 1) // 2]
    return math.log(total / len(rows)) / math.cos(min(math.pi / 4, median))


def test_adacos_trace(golden_batch: Head) -> None:
    loss = make("adacos", 6)
    assert isinstance(loss, AdaCos)
    assert loss.dynamic_scale.item() == pytest.approx(2.276088923562, abs=1e-12)
    for expected in (3.09766177712, 3.75726257414, 4.36996264492):
        per_sample(loss, cosines(golden_batch), golden_batch.y)
        assert loss.dynamic_scale.item() == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("size", [1, 2, 7, 24])
def test_adacos_against_loops(size: int) -> None:
    loss, scale = make("adacos", 9), math.sqrt(2) * math.log(8)
    for seed in range(3):
        cos_BC, labels_B = batch(seed, size)
        scale = _next_scale(scale, cos_BC, labels_B)
        expected = [
            cross_entropy(scale * row[y], [scale * c for j, c in enumerate(row) if j != y])
            for row, y in zip(cos_BC.tolist(), labels_B.tolist(), strict=True)
        ]
        found = per_sample(loss, cos_BC, labels_B).tolist()
        assert found == pytest.approx(expected, rel=1e-11)


def test_adacos_fixed_and_given_scales() -> None:
    cos_BC, labels_B = batch(0)
    for given, scale in ((None, fixed_scale(9)), (20.0, 20.0)):
        fixed = make("adacos", 9, dynamic=False, scale=given)
        normface = make("normface", 9, scale=scale)
        torch.testing.assert_close(
            per_sample(fixed, cos_BC, labels_B), per_sample(normface, cos_BC, labels_B)
        )
    assert make("adacos", 9, scale=20.0).state_dict()["dynamic_scale"].item() == 20.0


def test_adacos_scale_has_a_floor() -> None:
    # All negatives opposite, few classes: ln(B_avg) is below 0.
    cos_BC = torch.tensor([[1.0, -1.0, -1.0]])
    loss = make("adacos", 3, scale=5.0)
    value = per_sample(loss, cos_BC, torch.tensor([0]))
    assert loss.state_dict()["dynamic_scale"].item() == 1.0
    assert value.isfinite().all()


def test_adacos_scale_survives_the_batches_between_forward_and_backward() -> None:
    cos_BC, labels_B = batch(0)
    cos_BC.requires_grad_()
    loss, again = make("adacos", 9), make("adacos", 9)
    (expected,) = torch.autograd.grad(per_sample(again, cos_BC, labels_B).sum(), cos_BC)
    value = per_sample(loss, cos_BC, labels_B).sum()
    per_sample(loss, *batch(1))
    (found,) = torch.autograd.grad(value, cos_BC)
    assert torch.equal(found, expected)


def test_adacos_needs_three_classes() -> None:
    with pytest.raises(ConfigError, match="at least 3 classes, found 2"):
        make("adacos", 2)


@pytest.mark.parametrize(
    ("margins", "mean", "expected"),
    [
        ([0.35] * 6, 73.931828672, "10.58113 20.24842 49.56548 22.19190 65.69113 2.31291"),
        (
            [0.30, 0.32, 0.34, 0.36, 0.38, 0.40],
            74.137500968,
            "10.88112 21.74842 50.46548 22.49190 64.19113 2.04695",
        ),
    ],
)
def test_adam_golden(margins: list[float], mean: float, expected: str, golden_batch: Head) -> None:
    loss = _with_margins(margins)
    cos_BC, seen = look(loss, golden_batch)
    assert loss(cos_BC, golden_batch.y, seen).item() == pytest.approx(mean, abs=1e-9)
    found = loss.per_sample(cos_BC, golden_batch.y, seen).tolist()
    assert found == pytest.approx([float(text) for text in expected.split()], abs=5.1e-6)


def _with_margins(margins: list[float]) -> AdaMSoftmax:
    loss = make("adam_softmax", len(margins)).double()
    assert isinstance(loss, AdaMSoftmax)
    loss.margins_C.data = torch.tensor(margins, dtype=torch.float64)
    return loss


def test_adam_against_loops_and_as_am_softmax() -> None:
    cos_BC, labels_B = batch(0)
    margins = [0.1 * j for j in range(9)]
    expected = [
        cross_entropy(30 * (row[y] - margins[y]), [30 * c for j, c in enumerate(row) if j != y])
        for row, y in zip(cos_BC.tolist(), labels_B.tolist(), strict=True)
    ]
    found = per_sample(_with_margins(margins), cos_BC, labels_B).tolist()
    assert found == pytest.approx(expected, rel=1e-12)
    same = per_sample(_with_margins([0.25] * 9), cos_BC, labels_B)
    am_softmax = make("am_softmax", 9, scale=30.0, margin=0.25)
    torch.testing.assert_close(same, per_sample(am_softmax, cos_BC, labels_B))


def test_adam_margins_start_between_and_stay_between() -> None:
    loss = make("adam_softmax", 1000)
    assert isinstance(loss, AdaMSoftmax)
    assert 0.3 <= loss.margins_C.min().item() < 0.305
    assert 0.395 < loss.margins_C.max().item() <= 0.4
    loss = _with_margins([-0.2, 1.3, 0.5])
    cos_BC, labels_B = torch.zeros(2, 3), torch.tensor([0, 1])
    before = per_sample(loss.eval(), cos_BC, labels_B)
    assert loss.margins_C.tolist() == [-0.2, 1.3, 0.5]  # only training moves them
    torch.testing.assert_close(before, per_sample(loss.train(), cos_BC, labels_B))
    assert loss.margins_C.tolist() == [0.0, 1.0, 0.5]


def test_adam_margins_learn(golden_batch: Head) -> None:
    # The penalty alone pushes every margin up by lambda / C; a sample pushes its own down.
    loss = _with_margins([0.35] * 6)
    cos_BC, seen = look(loss, golden_batch)
    loss(cos_BC, golden_batch.y, seen).backward()
    assert loss.margins_C.grad is not None
    missed = 1.0 - torch.exp(-loss.per_sample(cos_BC, golden_batch.y))
    expected = torch.full((6,), -70.0 / 6, dtype=torch.float64)
    expected.index_add_(0, golden_batch.y, 30.0 * missed / 6)
    torch.testing.assert_close(loss.margins_C.grad, expected)


def test_docstring() -> None:
    assert doctest.testmod(adaptive) == doctest.TestResults(failed=0, attempted=1)
