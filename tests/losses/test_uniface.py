from __future__ import annotations

import math

import pytest
import torch
from heads import Head, cosines, look, make
from slow import agree, softplus
from torch import Tensor
from torch.nn import functional

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.contract import Seen
from lfs_ray.losses.spec import HeadSize
from lfs_ray.losses.uniface import UniFace, UniTsFace


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_uniface(clamp: bool, weight: float) -> None:
    s, m, b = 8.0, 0.4, math.log(90.0)

    def held(x: float) -> float:
        return min(max(x, -s), s) if clamp else x

    def reference(c_y: float, others: list[float]) -> float:
        negatives = sum(softplus(held(s * c - b)) for c in others)
        return softplus(held(-(s * (c_y - m) - b))) + weight * negatives

    agree(make("uniface", 9, scale=s, margin=m, weight=weight, clamp=clamp), reference)


def test_uniface_clamp_takes_the_gradient_from_the_hardest() -> None:
    cos_BC = torch.tensor([[-0.9, 0.1]], requires_grad=True)
    for clamp in (False, True):
        loss = make("uniface", 2, scale=64.0, clamp=clamp)
        (grad,) = torch.autograd.grad(loss(cos_BC, torch.tensor([0])), cos_BC)
        assert (grad[0, 0].item() == 0.0) == clamp


@pytest.mark.parametrize("clamp", [False, True])
def test_the_threshold_is_learned(clamp: bool) -> None:
    cos_BC = torch.tensor([[0.4, 0.1, -0.2]], dtype=torch.float64)
    loss = make("uniface", 3, scale=16.0, clamp=clamp)
    assert isinstance(loss, UniFace)
    assert loss.bias.item() == pytest.approx(math.log(30.0), rel=1e-15)
    (found,) = torch.autograd.grad(loss(cos_BC, torch.tensor([0])), loss.bias)
    b = math.log(30.0)

    def by_hand(b: float) -> float:
        return softplus(b) + softplus(1.6 - b) + softplus(-3.2 - b)

    assert found.item() == pytest.approx((by_hand(b + 1e-6) - by_hand(b - 1e-6)) / 2e-6, rel=1e-8)


def _unitsface(head: Head, **given: float) -> UniTsFace:
    size = HeadSize(num_classes=len(head.w), embedding_dim=8, epoch_images=6)
    loss = build_loss("unitsface", size=size, **given).double()
    assert isinstance(loss, UniTsFace)
    return loss


def _step(loss: UniTsFace, head: Head) -> Tensor:
    cos_BC, seen = look(loss, head)
    return loss(cos_BC, head.y, seen)


def test_unitsface_golden(golden_batch: Head) -> None:
    head = golden_batch
    loss = _unitsface(head)
    loss.num_seen.fill_(6)
    loss.memory_CD.copy_(head.w.roll(3, dims=1))
    cos_BC, seen = look(loss, head)
    first_B = loss.per_sample(cos_BC, head.y, seen)
    second_B = loss.penalty(seen)
    assert second_B is not None
    assert loss.bias.item() == pytest.approx(23.1175386616, abs=1e-10)
    assert second_B.mean().item() == pytest.approx(43.311090382, abs=1e-9)
    terms = [68.86473, 67.90672, 20.26172, 36.75211, 12.59102, 53.49025]
    assert second_B.tolist() == pytest.approx(terms, abs=5.1e-6)
    assert (first_B + second_B).mean().item() == pytest.approx(107.009631177, abs=1e-9)
    whole = [93.92444, 114.30258, 129.20135, 87.29483, 155.93208, 61.40249]
    assert (first_B + second_B).tolist() == pytest.approx(whole, abs=5.1e-6)


def test_unitsface_over_two_epochs(golden_batch: Head) -> None:
    head = golden_batch
    loss = _unitsface(head)
    am = make("am_softmax", 6, margin=0.4)(cosines(head), head.y)
    # The first epoch (6 images) is AM-Softmax and fills the memory; of class 3 the last stays.
    torch.testing.assert_close(_step(loss, head), am)
    assert loss.memory_CD[3].tolist() == head.x[3].tolist()
    assert loss.memory_CD[1].tolist() == [0.0] * 8
    assert loss.memory_CD[[5, 4, 0, 2]].tolist() == head.x[[1, 2, 4, 5]].tolist()
    # The second starts the threshold from what was remembered, before it is written anew.
    moved = head._replace(x=head.x.flip(1) + 1.0)
    before = loss.memory_CD.clone()
    value = _step(loss, moved)
    c_BC = functional.normalize(moved.x) @ functional.normalize(before).T
    bias, terms = _second_term(c_BC.tolist(), head.y.tolist())
    am = make("am_softmax", 6, margin=0.4)(cosines(moved), head.y)
    assert loss.bias.item() == pytest.approx(bias, rel=1e-12)
    assert value.item() == pytest.approx(am.item() + sum(terms) / 6, rel=1e-12)
    assert loss.memory_CD[2].tolist() == moved.x[5].tolist()
    assert loss.num_seen.item() == 12
    # From there on it is learned, not set again.
    with torch.no_grad():
        loss.bias.add_(1.0)
    _step(loss, moved)
    assert loss.bias.item() == pytest.approx(bias + 1.0, rel=1e-12)


def _second_term(c: list[list[float]], y: list[int]) -> tuple[float, list[float]]:
    s = 64.0
    others = [
        [v for j, v in enumerate(row) if j != label] for row, label in zip(c, y, strict=True)
    ]
    bias = sum(math.log(sum(math.exp(s * v) for v in row)) for row in others) / len(y)
    terms = [
        softplus(bias - s * (row[label] - 0.1)) + sum(softplus(s * v - bias) for v in rest)
        for row, label, rest in zip(c, y, others, strict=True)
    ]
    return bias, terms


def test_unitsface_gradient_by_embeddings_centres_and_threshold(golden_batch: Head) -> None:
    head = golden_batch
    loss = _unitsface(head)
    loss.started.fill_(True)
    loss.memory_CD.copy_(head.w.roll(3, dims=1))
    loss.eval()

    def total(x: Tensor, w: Tensor, *_: Tensor) -> Tensor:
        return _step(loss, head._replace(x=x, w=w))

    inputs = (head.x.requires_grad_(), head.w.requires_grad_(), loss.bias)
    assert torch.autograd.gradcheck(total, inputs)


def test_unitsface_writes_its_memory_in_training_only_and_backward_still_works(
    golden_batch: Head,
) -> None:
    head = golden_batch._replace(x=golden_batch.x.requires_grad_())
    loss = _unitsface(head)
    loss.started.fill_(True)
    _step(loss.eval(), head)
    assert not loss.memory_CD.any()
    assert loss.num_seen.item() == 0
    _step(loss.train(), head).backward()  # the memory changed between forward and backward
    assert loss.memory_CD[0].tolist() == head.x[4].tolist()
    assert head.x.grad is not None


def test_unitsface_in_half_precision_keeps_a_float32_memory(golden_batch: Head) -> None:
    size = HeadSize(num_classes=6, embedding_dim=8, epoch_images=1)
    loss = build_loss("unitsface", size=size)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen = Seen(golden_batch.y, embedding_BD=golden_batch.x.bfloat16())
            value = loss(cosines(golden_batch).float(), golden_batch.y, seen)
    assert value.dtype == torch.float32
    assert loss.state_dict()["memory_CD"].dtype == torch.float32
