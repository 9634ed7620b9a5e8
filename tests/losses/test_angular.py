from __future__ import annotations

import math

import pytest
import torch
from by_hand import random_head, samples
from heads import look, make, per_sample
from slow import agree, batch, cross_entropy
from torch.nn import functional

from lfs_ray.losses.angular import SCHEDULES, Annealing, psi, psi_of_real_multiple


def _psi(cos: float, m: float) -> float:
    angle = math.acos(cos)
    k = math.floor(m * angle / math.pi)
    if k >= m:  # an angle of pi and a whole m
        k -= 1
    return (-1) ** k * math.cos(m * angle) - 2 * k


@pytest.mark.parametrize("multiple", range(1, 9))
def test_psi_is_its_definition(multiple: int) -> None:
    grid = [math.cos(0.013 * i) for i in range(1, 241)] + [1.0, -1.0]
    cos_B = torch.tensor(grid, dtype=torch.float64)
    expected = [_psi(c, multiple) for c in grid]
    assert psi(cos_B, multiple).tolist() == pytest.approx(expected, abs=1e-12)
    assert psi_of_real_multiple(cos_B, multiple).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("multiple", [1.0, 1.35, 1.7, 3.3])
def test_psi_of_real_multiples(multiple: float) -> None:
    grid = [math.cos(0.013 * i) for i in range(1, 241)] + [1.0, -1.0]
    found = psi_of_real_multiple(torch.tensor(grid, dtype=torch.float64), multiple)
    assert found.tolist() == pytest.approx([_psi(c, multiple) for c in grid], abs=1e-12)


@pytest.mark.parametrize("multiple", range(1, 9))
def test_psi_falls_without_a_break_and_ends_where_it_must(multiple: int) -> None:
    angle = torch.linspace(0.0, math.pi, 4001, dtype=torch.float64)
    found = psi(angle.cos(), multiple)
    assert (found.diff() <= 1e-12).all()
    assert found.diff().abs().max() < 1.1 * multiple * math.pi / 4000
    assert found[0].item() == pytest.approx(1.0)
    assert found[-1].item() == pytest.approx(1.0 - 2.0 * multiple)


@pytest.mark.parametrize("multiple", range(1, 9))
def test_psis_gradient(multiple: int) -> None:
    cos_B = torch.linspace(-0.99, 0.99, 40, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: psi(c, multiple), cos_B)
    ends = torch.tensor([1.0, -1.0], dtype=torch.float64, requires_grad=True)
    psi(ends, multiple).sum().backward()
    assert ends.grad is not None
    assert ends.grad.tolist() == pytest.approx([multiple**2] * 2)  # sin(m t)/sin t -> m


@pytest.mark.parametrize(
    ("schedule", "at_1", "at_1000", "floor"),
    [
        ("sphereface", 1000 / 1.12, 1000 / 121, 5.0),
        ("sphereface", 1000 / 1.12, 20.0, 20.0),
        ("sv-x", 1000 / 1.0001**2, 1000 / 1.1**2, 5.0),
        ("constant", 3.0, 3.0, 3.0),
    ],
)
def test_annealing(schedule: str, at_1: float, at_1000: float, floor: float) -> None:
    annealing = Annealing(schedule, floor)
    assert annealing.weight().item() == pytest.approx(at_1)  # nothing seen yet: as the first
    annealing.advance()
    assert annealing.weight().item() == pytest.approx(at_1)
    for _ in range(999):
        annealing.advance()
    assert annealing.weight().item() == pytest.approx(at_1000)
    assert set(SCHEDULES) == {"sphereface", "sv-x", "constant"}


def _mixed(cos: float, m: int, weight: float) -> float:
    return (weight * cos + _psi(cos, m)) / (1 + weight)


@pytest.mark.parametrize("floor", [0.0, 2.5])
@pytest.mark.parametrize("multiple", [1, 2, 3, 4])
def test_raw_losses_against_loops(multiple: int, floor: float) -> None:
    head = random_head(1)
    options = {"multiple": multiple, "schedule": "constant", "lambda_floor": floor, "scale": 1.5}
    l_softmax, a_softmax = (make(name, 7, **options) for name in ("l_softmax", "a_softmax"))
    cos_BC, seen = look(l_softmax, head)
    rows = samples(head)
    expected = []
    for one in rows:
        z = [1.5 * w * one.norm * c for w, c in zip(one.weight_norms, one.cos, strict=True)]
        mixed = _mixed(one.cos[one.label], multiple, floor)
        length = 1.5 * one.weight_norms[one.label] * one.norm
        expected.append(one.loss(z, target=length * mixed))
    found = l_softmax.per_sample(cos_BC, head.y, seen).tolist()
    assert found == pytest.approx(expected, rel=1e-11)
    expected = []
    for one in rows:
        mixed = _mixed(one.cos[one.label], multiple, floor)
        expected.append(
            one.loss([1.5 * one.norm * c for c in one.cos], target=1.5 * one.norm * mixed)
        )
    found = a_softmax.per_sample(cos_BC, head.y, seen).tolist()
    assert found == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("multiple", [2, 4])
def test_normalised_a_softmax(multiple: int) -> None:
    def reference(c_y: float, others: list[float]) -> float:
        return cross_entropy(32.0 * _mixed(c_y, multiple, 5.0), [32.0 * c for c in others])

    options = {"schedule": "constant", "normalised": True}
    agree(make("a_softmax", 9, multiple=multiple, **options), reference)


@pytest.mark.parametrize("multiple", [1.4, 1.7, 2.6])
def test_sphereface_r(multiple: float) -> None:
    def reference(c_y: float, others: list[float]) -> float:
        return cross_entropy(30.0 * _psi(c_y, multiple), [30.0 * c for c in others])

    agree(make("sphereface_r", 9, multiple=multiple), reference)


def test_sphereface_r_is_detached() -> None:
    cos_BC, labels_B = batch(0)
    cos_BC.requires_grad_()
    loss_B = per_sample(make("sphereface_r", 9), cos_BC, labels_B)
    (found,) = torch.autograd.grad(loss_B.sum(), cos_BC)
    own = functional.one_hot(labels_B, 9).bool()
    missed_B = 1.0 - torch.exp(-loss_B.detach())  # s (1 - p) without the factor of the angle
    torch.testing.assert_close(found[own], -30.0 * missed_B)


def test_annealing_follows_training() -> None:
    cos_BC, labels_B = batch(0)
    loss = make("a_softmax", 9, normalised=True, schedule="sphereface")
    fixed = {"normalised": True, "schedule": "constant"}
    for step in range(1, 4):
        weight = 1000 / (1 + 0.12 * step)
        expected = make("a_softmax", 9, lambda_floor=weight, **fixed)
        torch.testing.assert_close(
            per_sample(loss, cos_BC, labels_B), per_sample(expected, cos_BC, labels_B)
        )
    assert loss.state_dict()["annealing.step"].item() == 3


def test_a_multiple_of_one_changes_nothing() -> None:
    head = random_head(2)
    for name, plain in (("l_softmax", "softmax"), ("a_softmax", None)):
        loss = make(name, 7, multiple=1)
        cos_BC, seen = look(loss, head)
        if plain is None:
            logits_BC = cos_BC * head.x.norm(dim=1, keepdim=True)
            expected = functional.cross_entropy(logits_BC, head.y, reduction="none")
        else:
            expected = make(plain, 7).per_sample(cos_BC, head.y, seen)
        torch.testing.assert_close(loss.per_sample(cos_BC, head.y, seen), expected)
