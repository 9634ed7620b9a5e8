from __future__ import annotations

import math

import pytest
import torch
from heads import make, per_sample
from slow import batch

THETAS = {"global": [-50.0], "local": [-float(2**j) for j in range(10)]}


@pytest.mark.parametrize("name", ["global", "local"])
def test_equals_the_log_domain_where_nothing_underflows(name: str) -> None:
    cos_BC, labels_B = batch(0)
    cos_BC.requires_grad_()
    given = {"scale": 8.0, "theta": THETAS[name], "space": "raw"}
    released = make(name, 9, probability_space=True, **given)
    ours = make(name, 9, **given)
    found, expected = (per_sample(loss, cos_BC, labels_B) for loss in (released, ours))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    (found_grad,) = torch.autograd.grad(found.sum(), cos_BC)
    (expected_grad,) = torch.autograd.grad(expected.sum(), cos_BC)
    torch.testing.assert_close(found_grad, expected_grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["global", "local"])
def test_float32_underflows_as_the_released_code(name: str) -> None:
    cos_BC = torch.tensor([[-0.9, 0.9]], requires_grad=True)
    given = {"scale": 64.0, "theta": THETAS[name], "space": "raw"}
    value = make(name, 2, probability_space=True, **given)(cos_BC, torch.tensor([0]))
    value.backward()
    assert value.item() == math.inf
    assert cos_BC.grad is not None
    assert cos_BC.grad.isnan().any()
    assert make(name, 2, **given)(cos_BC, torch.tensor([0])).isfinite()


def test_digits_are_lost_near_one() -> None:
    # Gap 20, 1000 classes, margin 1/2 at s = 32: the exact loss is 2.96.
    cos_BC = torch.zeros(1, 1000)
    cos_BC[0, 0] = 20.0 / 32.0
    labels_B = torch.tensor([0])
    theta = [-1.0] * 10
    given = {"scale": 32.0, "theta": theta, "space": "released-local"}
    ours = make("local", 1000, **given)(cos_BC, labels_B).item()
    released = make("local", 1000, probability_space=True, **given)(cos_BC, labels_B).item()
    assert ours == pytest.approx(2.9600, abs=5e-5)
    assert released != pytest.approx(ours, rel=1e-3)
    assert released == pytest.approx(ours, rel=0.1)


def test_an_a_beyond_all_bounds_builds_and_is_not_finite() -> None:
    # 1 - e^1000 overflows: the released form has no value there, which is what is measured.
    cos_BC = torch.tensor([[0.9, -0.9]])
    loss = make("global", 2, scale=1000.0, theta=[1.0], probability_space=True)
    assert not loss(cos_BC, torch.tensor([0])).isfinite()
