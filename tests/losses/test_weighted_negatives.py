from __future__ import annotations

import math

import pytest
import torch
from heads import make, per_sample
from slow import agree, batch, cross_entropy
from torch import Tensor
from torch.nn import functional


def _fallback(cos: float, m: float) -> float:
    angle = math.acos(cos) + m
    return math.cos(angle) if angle < math.pi else cos - m * math.sin(m)


@pytest.mark.parametrize("bell", [(1.2, 0.0, 1.0), (1.0, 0.1, 0.5)])
def test_arcnegface(bell: tuple[float, float, float]) -> None:
    s, m = 20.0, 0.6
    alpha, mu, sigma = bell

    def reference(c_y: float, others: list[float]) -> float:
        f = _fallback(c_y, m)
        z = []
        for c in others:
            g = alpha * math.exp(-((c - f - mu) ** 2) / (2 * sigma**2))
            z.append(s * (g * c + g - 1))
        return cross_entropy(s * f, z)

    agree(
        make("arcnegface", 9, scale=s, margin=m, alpha=alpha, mu=mu, sigma=sigma),
        reference,
    )


@pytest.mark.parametrize("m", [0.0, 0.25, 0.6])
def test_circle(m: float) -> None:
    gamma = 40.0

    def reference(c_y: float, others: list[float]) -> float:
        z = [gamma * max(c + m, 0) * (c - m) for c in others]
        return cross_entropy(gamma * max(1 + m - c_y, 0) * (c_y - (1 - m)), z)

    agree(make("circle", 9, scale=gamma, margin=m), reference)


def _dense_circle(cos_BC: Tensor, own_BC: Tensor) -> Tensor:
    own = (1.25 - cos_BC.detach()).clamp_min(0) * (cos_BC - 0.75)
    return torch.where(own_BC, own, (cos_BC.detach() + 0.25).clamp_min(0) * (cos_BC - 0.25))


def _dense_arcneg(cos_BC: Tensor, own_BC: Tensor) -> Tensor:
    angle_B = cos_BC[own_BC].acos() + 0.5
    f_B = torch.where(angle_B < math.pi, angle_B.cos(), cos_BC[own_BC] - 0.5 * math.sin(0.5))
    g_BC = 1.2 * torch.exp(-((cos_BC - f_B[:, None]) ** 2) / 2).detach()
    return torch.where(own_BC, f_B[:, None], g_BC * cos_BC + g_BC - 1)


@pytest.mark.parametrize(
    ("name", "dense"), [("circle", _dense_circle), ("arcnegface", _dense_arcneg)]
)
def test_gradient_holds_the_weights_fixed(name: str, dense: object) -> None:
    assert callable(dense)
    cos_BC, labels_B = batch(0)
    cos_BC.requires_grad_()
    own_BC = functional.one_hot(labels_B, 9).bool()
    logits_BC = 20.0 * dense(cos_BC, own_BC)
    whole = functional.cross_entropy(logits_BC, labels_B, reduction="sum")
    (expected,) = torch.autograd.grad(whole, cos_BC)
    loss = make(name, 9, scale=20.0)
    (found,) = torch.autograd.grad(per_sample(loss, cos_BC, labels_B).sum(), cos_BC)
    torch.testing.assert_close(found, expected)
