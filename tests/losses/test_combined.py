from __future__ import annotations

import math

import pytest
import torch
from heads import make, per_sample
from slow import agree, batch, cross_entropy


@pytest.mark.parametrize("m1", [0.5, 0.9, 1.0, 1.35, 3.0])
@pytest.mark.parametrize(("m2", "m3"), [(0.0, 0.0), (0.3, 0.2), (0.0, 0.35), (1.0, 0.0)])
def test_against_the_formula(m1: float, m2: float, m3: float) -> None:
    def reference(c_y: float, others: list[float]) -> float:
        target = 16.0 * (math.cos(m1 * math.acos(c_y) + m2) - m3)
        return cross_entropy(target, [16.0 * c for c in others])

    agree(make("combined", 9, scale=16.0, m1=m1, m2=m2, m3=m3), reference)


def test_its_special_cases() -> None:
    cos_BC, labels_B = batch(5)
    for name, own, combined in (
        ("arcface", {"margin": 0.5, "rule": "plain"}, {"m1": 1.0, "m2": 0.5, "m3": 0.0}),
        ("am_softmax", {"margin": 0.35}, {"m1": 1.0, "m2": 0.0, "m3": 0.35}),
    ):
        found = per_sample(make("combined", 9, **combined), cos_BC, labels_B)
        assert torch.equal(found, per_sample(make(name, 9, **own), cos_BC, labels_B))


@pytest.mark.parametrize("angle", [0.1, 0.3, 1.0, 2.0])
def test_exact_and_detached_gradient(angle: float) -> None:
    factors = []
    for grad in ("exact", "detached"):
        cos_BC = torch.tensor([[math.cos(angle), 0.9]], dtype=torch.float64, requires_grad=True)
        loss = make("combined", 2, scale=1.0, m1=0.9, m2=0.4, m3=0.15, grad=grad)
        value = per_sample(loss, cos_BC, torch.tensor([0]))
        value.sum().backward()
        assert cos_BC.grad is not None
        factors.append(-cos_BC.grad[0, 0].item() / (1.0 - math.exp(-value.item())))
    exact = 0.9 * math.sin(0.9 * angle + 0.4) / math.sin(angle)
    assert factors == pytest.approx([exact, 1.0], rel=1e-12)
