from __future__ import annotations

import math
import statistics

import pytest
import torch
from by_hand import Sample, random_head, samples
from heads import Head, cosines, look, make
from torch import Tensor

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.norms import AdaFace, MagFace, ada_target


def _beyond(cos: float, margin: float, rule: str) -> float:
    past_pi = math.acos(cos) + margin >= math.pi
    if rule == "easy":
        return math.cos(math.acos(cos) + margin) if cos > 0 else cos
    if past_pi and rule == "fallback":
        return cos - margin * math.sin(margin)
    return cos if past_pi and rule == "keep" else math.cos(math.acos(cos) + margin)


def _mag(one: Sample, rule: str) -> float:
    clipped = min(max(one.norm, 10.0), 110.0)
    margin = 0.45 + (clipped - 10.0) * (0.8 - 0.45) / 100.0
    target = 64.0 * _beyond(one.cos[one.label], margin, rule)
    return one.loss([64.0 * c for c in one.cos], target=target)


@pytest.mark.parametrize("rule", ["plain", "fallback", "easy", "keep"])
def test_magface(rule: str) -> None:
    for seed in range(3):
        head = random_head(seed)
        loss = make("magface", 7, rule=rule)
        cos_BC, seen = look(loss, head)
        rows = samples(head)
        found = loss.per_sample(cos_BC, head.y, seen).tolist()
        assert found == pytest.approx([_mag(one, rule) for one in rows], rel=1e-11, abs=1e-12)
        clipped = [min(max(one.norm, 10.0), 110.0) for one in rows]
        penalty = loss.penalty(seen)
        assert penalty is not None
        assert penalty.tolist() == pytest.approx([35 * (a / 110**2 + 1 / a) for a in clipped])


def test_magfaces_penalty_golden(golden_batch: Head) -> None:
    loss = make("magface", 6)
    assert isinstance(loss, MagFace)
    g_B = loss.margin.penalty(golden_batch.x.norm(dim=1))
    assert g_B.mean().item() == pytest.approx(0.054489372, abs=5e-10)
    expected = [0.09622, 0.05645, 0.04187, 0.03176, 0.03543, 0.06521]
    assert g_B.tolist() == pytest.approx(expected, abs=5.1e-6)


def test_magface_outside_its_range_has_no_gradient_by_length() -> None:
    norms_B = torch.tensor([5.0, 50.0, 200.0], dtype=torch.float64, requires_grad=True)
    labels_B = torch.tensor([0, 1, 2])
    loss = make("magface", 3, rule="fallback")
    cos_BC = torch.full((3, 3), 0.2, dtype=torch.float64)
    loss(cos_BC, labels_B, Seen(labels_B, norms_B=norms_B)).backward()
    assert norms_B.grad is not None
    assert norms_B.grad[[0, 2]].tolist() == [0.0, 0.0]
    assert norms_B.grad[1] != 0.0


def test_magface_with_one_margin_is_arcface() -> None:
    head = random_head(3)
    loss = make("magface", 7, margin_low=0.5, margin_high=0.5, penalty=0.0, rule="fallback")
    cos_BC, seen = look(loss, head)
    expected = make("arcface", 7).per_sample(cos_BC, head.y)
    torch.testing.assert_close(loss.per_sample(cos_BC, head.y, seen), expected)


def test_magface_lengths_the_wrong_way_round() -> None:
    with pytest.raises(ConfigError, match="norm_low of loss 'magface' must be below norm_high"):
        make("magface", 3, norm_low=110.0, norm_high=10.0)


def _ada(one: Sample, mean: float, std: float, margin: float) -> float:
    quality = (min(max(one.norm, 1e-3), 100.0) - mean) / (std + 1e-3) * 0.333
    turn = margin * min(max(quality, -1.0), 1.0)
    angle = math.acos(min(max(one.cos[one.label], -0.999), 0.999))
    turned = min(max(angle - turn, 1e-3), math.pi - 1e-3)
    return one.loss([64 * c for c in one.cos], target=64 * (math.cos(turned) - margin - turn))


def test_adaface_and_its_state_against_loops() -> None:
    loss = make("adaface", 7, rate=0.3)
    assert isinstance(loss, AdaFace)
    mean, std = 20.0, 100.0
    for seed in range(4):
        head = random_head(seed)
        cos_BC, seen = look(loss, head)
        rows = samples(head)
        norms = [min(max(one.norm, 1e-3), 100.0) for one in rows]
        mean = 0.3 * statistics.fmean(norms) + 0.7 * mean
        std = 0.3 * statistics.stdev(norms) + 0.7 * std
        found = loss.per_sample(cos_BC, head.y, seen).tolist()
        expected = [_ada(one, mean, std, 0.4) for one in rows]
        assert found == pytest.approx(expected, rel=1e-11)
    assert (loss.mean.item(), loss.std.item()) == pytest.approx((mean, std), rel=1e-12)


def test_adaface_trace(golden_batch: Head) -> None:
    loss = make("adaface", 6)
    assert isinstance(loss, AdaFace)
    for mean, std in ((20.0240704184, 99.0922150674), (20.0479001327, 98.1935079841)):
        cos_BC, seen = look(loss, golden_batch)
        loss(cos_BC, golden_batch.y, seen)
        assert loss.mean.item() == pytest.approx(mean, abs=1e-10)
        assert loss.std.item() == pytest.approx(std, abs=1e-10)


def test_adaface_batch_of_one_leaves_the_state_alone() -> None:
    loss = make("adaface", 3)
    labels_B = torch.tensor([0])
    value = loss(torch.zeros(1, 3), labels_B, Seen(labels_B, norms_B=torch.tensor([7.0])))
    assert value.isfinite()
    assert [tensor.item() for tensor in loss.state_dict().values()] == [20.0, 100.0]


@pytest.mark.parametrize("quality", [-1.0, 0.0, 1.0])
def test_adaface_clips_the_target_cosine(quality: float) -> None:
    for cos in (1.0, 0.9995, -0.9995, -1.0):
        angle = math.acos(min(max(cos, -0.999), 0.999)) - 0.4 * quality
        expected = math.cos(min(max(angle, 1e-3), math.pi - 1e-3)) - 0.4 - 0.4 * quality
        cos_B, quality_B = (torch.tensor([one], dtype=torch.float64) for one in (cos, quality))
        found = ada_target(cos_B, quality_B, 0.4, 1e-3).item()
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("grad", ["exact", "detached"])
def test_adaface_gradient_by_cosines(grad: str) -> None:
    head = random_head(4)
    loss = make("adaface", 7, grad=grad).eval()
    cos_BC = cosines(head).requires_grad_()
    seen = Seen(head.y, norms_B=head.x.norm(dim=1))

    def total(cos: Tensor) -> Tensor:
        return loss.per_sample(cos, head.y, seen)

    if grad == "exact":
        assert torch.autograd.gradcheck(total, cos_BC)
        return
    loss_B = total(cos_BC)
    (found,) = torch.autograd.grad(loss_B.sum(), cos_BC)
    missed_B = 1.0 - torch.exp(-loss_B.detach())
    own_B = found.gather(1, head.y[:, None]).squeeze(1)
    torch.testing.assert_close(own_B, -64.0 * missed_B)


def test_adafaces_lengths_have_no_gradient() -> None:
    norms_B = torch.tensor([5.0, 50.0], requires_grad=True)
    labels_B = torch.tensor([0, 1])
    loss: ClassifierLoss = make("adaface", 3)
    cos_BC = torch.full((2, 3), 0.2, requires_grad=True)
    loss(cos_BC, labels_B, Seen(labels_B, norms_B=norms_B)).backward()
    assert norms_B.grad is None
