from __future__ import annotations

import math

import pytest
import torch
from heads import make, per_sample
from slow import agree, batch, softplus

from lfs_ray.losses.sphereface2 import SphereFace2, initial_bias


@pytest.mark.parametrize("grad", ["exact", "detached"])
@pytest.mark.parametrize("power", [1.0, 3.0, 2.5])
def test_sphereface2(grad: str, power: float) -> None:
    r, m, alpha, w = 12.0, 0.3, 0.6, 20.0
    loss = make("sphereface2", 9, scale=r, margin=m, alpha=alpha, power=power, weight=w, grad=grad)
    assert isinstance(loss, SphereFace2)
    b = loss.bias.item()

    def g(c: float) -> float:
        return 2 * ((c + 1) / 2) ** power - 1

    def reference(c_y: float, others: list[float]) -> float:
        positive = alpha * softplus(-(r * (g(c_y) - m) + b))
        negative = (1 - alpha) * sum(softplus(r * (g(c) + m) + b) for c in others)
        return w / r * (positive + negative)

    agree(loss, reference)


def test_detached_gradient_has_slope_one() -> None:
    cos_BC, labels_B = batch(0)
    cos_BC.requires_grad_()
    grads = {}
    for grad in ("exact", "detached"):
        loss = make("sphereface2", 9, scale=12.0, grad=grad)
        (grads[grad],) = torch.autograd.grad(per_sample(loss, cos_BC, labels_B).sum(), cos_BC)
    slope_BC = 3.0 * ((cos_BC.detach() + 1.0) / 2.0) ** 2  # g' for t = 3
    torch.testing.assert_close(grads["exact"], grads["detached"] * slope_BC)


def test_exact_gradient_is_the_derivative() -> None:
    cos_BC, labels_B = batch(1, size=4, classes=5)
    loss = make("sphereface2", 5, scale=8.0, grad="exact")
    assert torch.autograd.gradcheck(
        lambda cos: loss.per_sample(cos, labels_B), cos_BC.requires_grad_()
    )


def test_published_initial_bias() -> None:
    assert initial_bias(40.0, 0.4, 3.0, 0.7, 6) == pytest.approx(13.8664686074, abs=1e-10)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000, 100_000])
@pytest.mark.parametrize("scale", [2.0, 40.0, 500.0])
def test_the_initial_bias_is_where_the_derivative_is_zero(classes: int, scale: float) -> None:
    alpha, margin, power = 0.7, 0.4, 3.0
    b = initial_bias(scale, margin, power, alpha, classes)
    middle = 2 * 0.5**power - 1  # g of orthogonal vectors

    def log_sigmoid(x: float) -> float:
        return -softplus(-x)

    # alpha sigmoid(-z_y) = (1 - alpha) (C - 1) sigmoid(z_j)
    positive = math.log(alpha) + log_sigmoid(-(scale * (middle - margin) + b))
    negative = log_sigmoid(scale * (middle + margin) + b)
    negative += math.log((1 - alpha) * (classes - 1))
    assert positive == pytest.approx(negative, abs=1e-9)
