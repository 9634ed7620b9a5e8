"""Agreement with pytorch-metric-learning, value and gradients, where it has the loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from by_hand import random_head
from heads import Head, golden_head, look, make
from pytorch_metric_learning import losses as theirs
from torch import Tensor
from torch.nn import functional

MARGIN_DEG = 28.6
MARGIN_RAD = math.radians(MARGIN_DEG)

AGREEING: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("normface", {"scale": 20.0}, "NormalizedSoftmaxLoss", {"temperature": 0.05}),
    ("am_softmax", {}, "CosFaceLoss", {"margin": 0.35, "scale": 64}),
    (
        "arcface",
        {"margin": MARGIN_RAD, "rule": "fallback"},
        "ArcFaceLoss",
        {"margin": MARGIN_DEG, "scale": 64},
    ),
    (
        "sub_center_arcface",
        {"margin": MARGIN_RAD, "sub_centers": 3, "rule": "fallback"},
        "SubCenterArcFaceLoss",
        {"margin": MARGIN_DEG, "scale": 64, "sub_centers": 3},
    ),
    (
        "l_softmax",
        {"schedule": "constant", "lambda_floor": 0.0},
        "LargeMarginSoftmaxLoss",
        {"margin": 4, "scale": 1},
    ),
    (
        "a_softmax",
        {"schedule": "constant", "lambda_floor": 0.0},
        "SphereFaceLoss",
        {"margin": 4, "scale": 1},
    ),
]


def _their_weight(loss: torch.nn.Module, head: Head, sub_centers: int) -> None:
    # Theirs are columns; sub-centre k of class c is column c K + k. Ours are rolled as in heads.
    rolled = torch.stack([head.w.roll(k, dims=1) for k in range(sub_centers)], dim=1)
    loss.W.data = rolled.flatten(0, 1).T.contiguous()


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")
@pytest.mark.parametrize("head", [golden_head(), random_head(3)], ids=["golden", "random"])
@pytest.mark.parametrize(
    ("name", "options", "their_name", "their_options"), AGREEING, ids=[row[0] for row in AGREEING]
)
def test_agreement(
    name: str, options: dict[str, Any], their_name: str, their_options: dict[str, Any], head: Head
) -> None:
    classes, dim = head.w.shape
    loss = make(name, classes, **options)
    with torch.random.fork_rng(devices=[]):
        their_loss = getattr(theirs, their_name)(
            num_classes=classes, embedding_size=dim, **their_options
        ).double()
    _their_weight(their_loss, head, loss.sub_centers)

    x = head.x.detach().clone().requires_grad_()
    w = head.w.detach().clone().requires_grad_()
    cos_BC, seen = look(loss, head._replace(x=x, w=w))
    value = loss(cos_BC, head.y, seen)
    value.backward()
    their_x = head.x.detach().clone().requires_grad_()
    their_value: Tensor = their_loss(their_x, head.y)
    their_value.backward()

    assert value.item() == pytest.approx(their_value.item(), rel=1e-12)
    torch.testing.assert_close(x.grad, their_x.grad, atol=1e-9, rtol=1e-7)
    their_grad = their_loss.W.grad.T.unflatten(0, (classes, -1))
    ours = sum(their_grad[:, k].roll(-k, dims=1) for k in range(loss.sub_centers))
    torch.testing.assert_close(w.grad, ours, atol=1e-9, rtol=1e-7)


def test_the_comparison_sees_a_difference() -> None:
    head = random_head(3)
    cos_BC = functional.normalize(head.x) @ functional.normalize(head.w).T
    value = make("arcface", 7, margin=0.5)(cos_BC, head.y).item()
    assert value != pytest.approx(make("arcface", 7, margin=MARGIN_RAD)(cos_BC, head.y).item())
