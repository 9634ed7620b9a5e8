from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from by_hand import Sample, random_head, samples
from heads import golden_head, look, make
from torch.nn import functional

HEAD = random_head()
BIAS = [0.3 * j - 1.0 for j in range(7)]


def _softmax(one: Sample, scale: float) -> float:
    return one.loss([scale * w * one.norm * c for w, c in _lengths_and_cosines(one)])


def _softmax_with_bias(one: Sample, scale: float) -> float:
    z = [scale * w * one.norm * c for w, c in _lengths_and_cosines(one)]
    return one.loss([logit + bias for logit, bias in zip(z, BIAS, strict=True)])


def _l2_softmax(one: Sample, scale: float) -> float:
    z = [scale * w * c for w, c in _lengths_and_cosines(one)]
    return one.loss([logit + bias for logit, bias in zip(z, BIAS, strict=True)])


def _virtual(one: Sample, scale: float) -> float:
    z = [scale * w * one.norm * c for w, c in _lengths_and_cosines(one)]
    return one.loss(z, scale * one.weight_norms[one.label] * one.norm)


def _virtual_normalised(one: Sample, scale: float) -> float:
    return one.loss([scale * c for c in one.cos], scale)


def _lengths_and_cosines(one: Sample) -> list[tuple[float, float]]:
    return list(zip(one.weight_norms, one.cos, strict=True))


@pytest.mark.parametrize(
    ("name", "options", "scale", "by_hand"),
    [
        ("softmax", {}, 1.0, _softmax),
        ("softmax", {"scale": 2.0}, 2.0, _softmax),
        ("softmax", {"bias": True}, 1.0, _softmax_with_bias),
        ("l2_softmax", {}, 40.0, _l2_softmax),
        ("l2_softmax", {"scale": 12.0, "learn_scale": True}, 12.0, _l2_softmax),
        ("v_softmax", {}, 1.0, _virtual),
        ("v_softmax", {"normalised": True}, 32.0, _virtual_normalised),
        ("v_softmax", {"normalised": True, "scale": 8.0}, 8.0, _virtual_normalised),
    ],
)
def test_against_loops(
    name: str, options: dict[str, Any], scale: float, by_hand: Callable[[Sample, float], float]
) -> None:
    loss = make(name, 7, **options).double()
    if "bias_C" in loss.state_dict():
        bias_C = torch.tensor(BIAS, dtype=torch.float64)
        loss.load_state_dict({"bias_C": bias_C}, strict=False)
    cos_BC, seen = look(loss, HEAD)
    found = loss.per_sample(cos_BC, HEAD.y, seen).tolist()
    expected = [by_hand(one, scale) for one in samples(HEAD)]
    assert found == pytest.approx(expected, rel=1e-11)


def test_softmax_is_the_linear_layers_cross_entropy_with_its_gradients() -> None:
    head, plain = golden_head(), golden_head()
    leaves = [t.requires_grad_() for t in (head.x, head.w, plain.x, plain.w)]
    loss = make("softmax", 6, bias=True).double()
    bias_C = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    cos_BC, seen = look(loss, head)
    loss(cos_BC, head.y, seen).backward()
    functional.cross_entropy(functional.linear(plain.x, plain.w, bias_C), plain.y).backward()
    for ours, theirs in [(leaves[0], leaves[2]), (leaves[1], leaves[3])]:
        torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(loss.get_parameter("bias_C").grad, bias_C.grad)


def test_learned_scales_learn() -> None:
    for name, parameter in (("normface", "learned_scale"), ("l2_softmax", "alpha")):
        loss = make(name, 7, scale=10.0, learn_scale=True).double()
        cos_BC, seen = look(loss, HEAD)
        loss(cos_BC, HEAD.y, seen).backward()
        values = []
        for step in (-1e-5, 1e-5):
            moved = make(name, 7, scale=10.0 + step)
            cos_BC, seen = look(moved, HEAD)
            values.append(moved(cos_BC, HEAD.y, seen).item())
        grad = loss.get_parameter(parameter).grad
        assert grad is not None
        assert grad.item() == pytest.approx((values[1] - values[0]) / 2e-5, rel=1e-7)


def test_alpha_of_the_papers_bound_reaches_its_probability() -> None:
    # One sample on its own centre, all others opposite: p grows with alpha as the paper's bound.
    classes, p = 9, 0.9
    alpha = math.log(p * (classes - 2) / (1.0 - p))
    cos_BC = torch.full((1, classes), 0.0, dtype=torch.float64)
    cos_BC[0, 0] = 1.0
    loss = make("normface", classes, scale=alpha)
    found = math.exp(-loss(cos_BC, torch.tensor([0])).item())
    assert found == pytest.approx(
        p * (classes - 2) / (p * (classes - 2) + (1 - p) * (classes - 1))
    )


def test_a_loss_that_needs_lengths_says_so() -> None:
    with pytest.raises(TypeError, match="needs lengths"):
        make("softmax", 3)(torch.zeros(1, 3), torch.tensor([0]))
