from __future__ import annotations

import math

import pytest
import torch
from heads import Head, look, make, per_sample
from slow import agree, batch, cross_entropy
from torch import Tensor
from torch.nn import functional

from lfs_ray.losses.hard_negatives import CurricularFace, hard, times_line


def _arc(cos: float, margin: float) -> float:
    return math.cos(math.acos(cos) + margin)


def _arc_target(cos: float, margin: float, rule: str) -> float:
    past_pi = math.acos(cos) + margin >= math.pi
    if rule == "easy":
        return _arc(cos, margin) if cos > 0 else cos
    if past_pi and rule == "fallback":
        return cos - margin * math.sin(margin)
    return cos if past_pi and rule == "keep" else _arc(cos, margin)


def _mv(c: float, threshold: float, t: float, kind: str) -> float:
    if c <= threshold:
        return c
    return (1 + t) * c + t if kind == "adaptive" else c + t


@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
@pytest.mark.parametrize("rule", ["plain", "easy", "easy-m"])
@pytest.mark.parametrize("t", [0.0, 0.12, 0.5])
def test_mv_am(kind: str, rule: str, t: float) -> None:
    m, s = 0.3, 16.0

    def reference(c_y: float, others: list[float]) -> float:
        lowered = {"plain": True, "easy": c_y > 0, "easy-m": c_y > m}[rule]
        z = [s * _mv(c, c_y - m, t, kind) for c in others]
        return cross_entropy(s * (c_y - m if lowered else c_y), z)

    agree(make("mv_am", 9, scale=s, margin=m, emphasis=t, hard=kind, rule=rule), reference)


@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
@pytest.mark.parametrize("rule", ["plain", "fallback", "easy", "keep"])
def test_mv_arc(kind: str, rule: str) -> None:
    m, s, t = 0.6, 16.0, 0.25

    def reference(c_y: float, others: list[float]) -> float:
        z = [s * _mv(c, _arc(c_y, m), t, kind) for c in others]
        return cross_entropy(s * _arc_target(c_y, m, rule), z)

    agree(make("mv_arc", 9, scale=s, margin=m, emphasis=t, hard=kind, rule=rule), reference)


@pytest.mark.parametrize("rule", ["plain", "fallback", "easy", "keep"])
@pytest.mark.parametrize("t", [-0.2, 0.0, 0.4])
def test_curricularface(rule: str, t: float) -> None:
    m, s = 0.5, 20.0

    def reference(c_y: float, others: list[float]) -> float:
        z = [s * (c * (t + c) if c > _arc(c_y, m) else c) for c in others]
        return cross_entropy(s * _arc_target(c_y, m, rule), z)

    loss = make("curricularface", 9, scale=s, margin=m, rule=rule)
    assert isinstance(loss, CurricularFace)
    loss.progress.fill_(t)
    agree(loss, reference)


def test_curricularface_progress(golden_batch: Head) -> None:
    loss = make("curricularface", 6)
    assert isinstance(loss, CurricularFace)
    for expected in (0.000599525406, 0.001193055559):
        cos_BC, seen = look(loss, golden_batch)
        loss(cos_BC, golden_batch.y, seen)
        assert loss.progress.item() == pytest.approx(expected, abs=1e-12)
    loss.eval()(cos_BC, golden_batch.y, seen)
    assert loss.progress.item() == pytest.approx(0.001193055559, abs=1e-12)


def test_curricularface_golden_at_given_progress(golden_batch: Head) -> None:
    loss = make("curricularface", 6).eval()
    assert isinstance(loss, CurricularFace)
    loss.progress.fill_(0.3)
    cos_BC, seen = look(loss, golden_batch)
    found_B = loss.per_sample(cos_BC, golden_batch.y, seen)
    assert found_B.mean().item() == pytest.approx(66.663258846, abs=1e-9)
    expected = [28.15121, 47.52808, 112.24949, 65.70546, 145.74281, 0.60251]
    assert found_B.tolist() == pytest.approx(expected, abs=5.1e-6)


def test_the_running_mean_takes_its_share() -> None:
    cos_BC, labels_B = batch(0)
    loss = make("curricularface", 9, ema_rate=0.25)
    assert isinstance(loss, CurricularFace)
    per_sample(loss, cos_BC, labels_B)
    mean = cos_BC.gather(1, labels_B[:, None]).mean().item()
    assert loss.progress.item() == pytest.approx(0.25 * mean, rel=1e-12)


NPC = {"margin": 0.5, "base_margin": 0.3, "mean_margin": 0.25}
NPC_LINE = {"hard_slope": 1.2, "hard_intercept": 0.15}


def test_npcface() -> None:
    s = 20.0

    def reference(c_y: float, others: list[float]) -> float:
        above = [c for c in others if c > _arc(c_y, 0.5)]
        mean = sum(above) / len(above) if above else 0.0
        z = [s * (1.2 * c + 0.15 if c in above else c) for c in others]
        return cross_entropy(s * (_arc(c_y, 0.3 + 0.25 * mean) if c_y > 0 else c_y), z)

    agree(make("npcface", 9, scale=s, **NPC, **NPC_LINE), reference)


def test_npcface_without_hard_negatives_has_the_base_margin() -> None:
    cos_BC = torch.tensor([[0.9, -0.9, -0.95]], dtype=torch.float64)
    found = make("npcface", 3, scale=4.0, **NPC, **NPC_LINE)(cos_BC, torch.tensor([0])).item()
    expected = cross_entropy(4 * _arc(0.9, 0.3), [-3.6, -3.8])
    assert found == pytest.approx(expected, rel=1e-12)


def _dense_npcface(cos_BC: Tensor, labels_B: Tensor, s: float) -> Tensor:
    """The loss with the mean of the hard cosines held fixed: what its gradient is of."""
    own_BC = functional.one_hot(labels_B, cos_BC.shape[1]).bool()
    cos_y_B = cos_BC[own_BC]
    threshold_B1 = torch.cos(cos_y_B.acos() + 0.5).detach()[:, None]
    above_BC = (cos_BC > threshold_B1) & ~own_BC
    sum_B = (cos_BC * above_BC).sum(1)
    mean_B = (sum_B / above_BC.sum(1).clamp_min(1)).detach()
    f_B = torch.where(cos_y_B > 0, torch.cos(cos_y_B.acos() + 0.3 + 0.25 * mean_B), cos_y_B)
    logits_BC = torch.where(above_BC, 1.2 * cos_BC + 0.15, cos_BC)
    logits_BC = torch.where(own_BC, f_B[:, None], logits_BC)
    return functional.cross_entropy(s * logits_BC, labels_B, reduction="sum")


def test_npcface_gradient_holds_the_mean_fixed() -> None:
    cos_BC, labels_B = batch(0)
    cos_BC.requires_grad_()
    loss = make("npcface", 9, scale=20.0, **NPC, **NPC_LINE)
    (found,) = torch.autograd.grad(per_sample(loss, cos_BC, labels_B).sum(), cos_BC)
    (expected,) = torch.autograd.grad(_dense_npcface(cos_BC, labels_B, 20.0), cos_BC)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "plain"), [("mv_am", {"name": "am_softmax"}), ("mv_arc", {"name": "arcface"})]
)
def test_without_emphasis_only_the_margin_is_left(name: str, plain: dict[str, str]) -> None:
    cos_BC, labels_B = batch(1)
    found = per_sample(make(name, 9, scale=30.0, margin=0.3, emphasis=0.0), cos_BC, labels_B)
    margin_alone = make(plain["name"], 9, scale=30.0, margin=0.3)
    torch.testing.assert_close(found, per_sample(margin_alone, cos_BC, labels_B))


def test_hard_is_strict_and_of_numbers() -> None:
    cos_BJ = torch.tensor([[0.5, 0.50001, -1.0]], dtype=torch.float64)
    found = hard(cos_BJ, torch.tensor([0.5], dtype=torch.float64))
    assert found.tolist() == [[0.0, 1.0, 0.0]]
    assert found.dtype == torch.float64


@pytest.mark.parametrize("intercept", [0.0, 1e-13, 1e-9, -0.4])
@pytest.mark.parametrize("slope", [0.0, 2.0])
def test_times_line(intercept: float, slope: float) -> None:
    cos_BJ = torch.tensor([[0.5, -0.3, 0.2]], dtype=torch.float64)
    weights_BJ = torch.tensor([[1.0, 0.0, 3.0]], dtype=torch.float64)
    expected = weights_BJ * (intercept + slope * cos_BJ)
    found = times_line(weights_BJ, cos_BJ, intercept, slope)
    assert found is weights_BJ
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
