from __future__ import annotations

import math

import pytest
import torch
from heads import make
from slow import agree, batch

from lfs_ray.errors import ConfigError
from lfs_ray.losses.catalogue import build_loss

THETAS = [
    (0.4, 0.1, -0.7, 0.2, -0.1, 2.0, 0.3, -4.0),
    (0.5, 0.0, -0.69, 0.0, 0.0, 2.0, 0.0, -4.0),
    (0.9, -0.8, 1.3, -2.1, 3.7, -0.4, 1.9, 0.6),
]


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_slow_reference(theta: tuple[float, ...], scale: float) -> None:
    c0, c1, c2, c3, c4, c5, c6, c7 = theta

    def term(t: int, p: float) -> float:
        a, b = t - c1, p - c0
        flat = c2 * a + 0.5 * c3 * a * a + c4 * a * a * a / 6
        return flat + c5 * b * a + 0.5 * c6 * b * a * a + 0.5 * c7 * b * b * a

    def reference(c_y: float, others: list[float]) -> float:
        powers = [math.exp(scale * c) for c in [c_y, *others]]
        p = [power / sum(powers) for power in powers]
        return -sum(term(int(j == 0), value) for j, value in enumerate(p)) / len(p)

    agree(make("taylor", 9, scale=scale, theta=theta), reference)


@pytest.mark.parametrize("theta", THETAS)
def test_gradient(theta: tuple[float, ...]) -> None:
    cos_BC, labels_B = batch(0, size=5, classes=4)
    loss = make("taylor", 4, scale=8.0, theta=theta)
    assert torch.autograd.gradcheck(
        lambda cos: loss.per_sample(cos, labels_B), cos_BC.requires_grad_()
    )


def test_its_start_is_cross_entropy_near_one_half() -> None:
    p = 0.5 + 1e-4
    cos_BC = torch.tensor([[math.log(p / (1 - p)), 0.0]], dtype=torch.float64)
    theta = (0.5, 0.0, math.log(0.5), 0.0, 0.0, 2.0, 0.0, -4.0)
    found = make("taylor", 2, scale=1.0, theta=theta)(cos_BC, torch.tensor([0])).item()
    assert found == pytest.approx(-math.log(p) / 2, abs=1e-11)


def test_finite_where_probabilities_underflow() -> None:
    cos_BC = torch.tensor([[-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]], requires_grad=True)
    value = make("taylor", 3, scale=1000.0, theta=THETAS[0])(cos_BC, torch.tensor([0, 0]))
    value.backward()
    assert value.isfinite()
    assert cos_BC.grad is not None
    assert cos_BC.grad.isfinite().all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"theta": THETAS[0][:7]}, r"must have 8 number\(s\), found 7"),
        ({"theta": (math.nan, *THETAS[0][1:])}, "space 'taylor' must be finite, found nan"),
        ({"theta": THETAS[0], "focal_gamma": 2.0}, "takes no focal_gamma.*found 2.0: leave it"),
    ],
)
def test_mistakes(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make("taylor", 3, **given)


def test_it_needs_the_number_of_classes() -> None:
    with pytest.raises(ConfigError, match="needs the sizes of its classifier"):
        build_loss("taylor", theta=THETAS[0])
