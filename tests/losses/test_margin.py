from __future__ import annotations

import math

import pytest
import torch

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.contract import Seen
from lfs_ray.losses.margin import ARC_RULES, am_target, arc_target


def _target(angle_deg: float, margin_deg: float, rule: str) -> float:
    cos = torch.tensor([math.cos(math.radians(angle_deg))], dtype=torch.float64)
    return arc_target(cos, math.radians(margin_deg), rule).item()


@pytest.mark.parametrize("rule", sorted(ARC_RULES))
def test_arc_between_the_rules_ends(rule: str) -> None:
    assert _target(30.0, 30.0, rule) == pytest.approx(0.5, abs=1e-15)
    assert _target(60.0, 30.0, rule) == pytest.approx(0.0, abs=1e-15)
    assert _target(80.0, 40.0, rule) == pytest.approx(-0.5, abs=1e-15)


@pytest.mark.parametrize(
    ("rule", "at_120_deg", "at_170_deg"),
    [
        ("plain", -math.sqrt(3) / 2, math.cos(math.radians(200))),
        ("fallback", -math.sqrt(3) / 2, math.cos(math.radians(170)) - math.pi / 12),
        ("keep", -math.sqrt(3) / 2, math.cos(math.radians(170))),
        ("easy", -0.5, math.cos(math.radians(170))),
    ],
)
def test_arc_rules_where_they_differ(rule: str, at_120_deg: float, at_170_deg: float) -> None:
    assert _target(120.0, 30.0, rule) == pytest.approx(at_120_deg, abs=1e-15)
    assert _target(170.0, 30.0, rule) == pytest.approx(at_170_deg, abs=1e-15)


def test_arc_at_the_ends_is_exact() -> None:
    cos = torch.tensor([1.0, -1.0])
    expected = torch.tensor([math.cos(0.5), -math.cos(0.5)])
    torch.testing.assert_close(arc_target(cos, 0.5, "plain"), expected, atol=3e-7, rtol=0.0)


@pytest.mark.parametrize("angle", [0.1, 0.3, 0.5, 1.0, 2.0])
def test_exact_and_detached_gradient(angle: float) -> None:
    factors = {}
    for grad in ("exact", "detached"):
        cos = torch.tensor([math.cos(angle)], dtype=torch.float64, requires_grad=True)
        loss = build_loss("arcface", scale=1.0, margin=0.5, grad=grad)
        loss.target(cos, Seen(torch.tensor([0]))).backward()
        assert cos.grad is not None
        factors[grad] = cos.grad.item()
    assert factors["detached"] == 1.0
    assert factors["exact"] == pytest.approx(math.sin(angle + 0.5) / math.sin(angle), rel=1e-12)


def test_am_lowers_the_cosine() -> None:
    assert am_target(torch.tensor([0.75]), 0.25).item() == 0.5
