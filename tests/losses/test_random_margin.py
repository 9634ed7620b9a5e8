from __future__ import annotations

import math

import pytest
import torch
from heads import make, per_sample
from slow import batch, cross_entropy

from lfs_ray.errors import ConfigError
from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.random_margin import RandomMargin


def _loss(mean: float, sd: float, **given: str | bool) -> RandomMargin:
    loss = build_loss("random_margin", scale=20.0, theta=[mean, sd], **given)
    assert isinstance(loss, RandomMargin)
    return loss


@pytest.mark.parametrize("kind", ["cos", "arc"])
@pytest.mark.parametrize("clip", [False, True])
def test_slow_reference(kind: str, clip: bool) -> None:
    cos_BC, labels_B = batch(0)
    loss = _loss(0.3, 0.2, kind=kind, clip=clip)
    torch.manual_seed(3)
    found = loss.per_sample(cos_BC, labels_B).tolist()
    torch.manual_seed(3)
    units = torch.randn(len(labels_B), dtype=torch.float64).tolist()
    for value, row, label, unit in zip(
        found, cos_BC.tolist(), labels_B.tolist(), units, strict=True
    ):
        margin = 0.3 + 0.2 * (min(max(unit, -1), 1) if clip else unit)
        f = row[label] - margin
        if kind == "arc":
            f = math.cos(math.acos(row[label]) + margin)
        others = [20.0 * c for j, c in enumerate(row) if j != label]
        assert value == pytest.approx(cross_entropy(20.0 * f, others), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "plain"), [("cos", {"name": "am_softmax"}), ("arc", {"name": "arcface"})]
)
def test_without_deviation_it_is_the_margin_loss(kind: str, plain: dict[str, str]) -> None:
    cos_BC, labels_B = batch(1)
    found = per_sample(_loss(0.4, 0.0, kind=kind), cos_BC, labels_B)
    margin_alone = make(plain["name"], 9, scale=20.0, margin=0.4, rule="plain")
    torch.testing.assert_close(found, per_sample(margin_alone, cos_BC, labels_B))


def test_draws_have_the_given_mean_and_deviation() -> None:
    torch.manual_seed(0)
    cos_B = torch.zeros(100_000)
    margin_B = _loss(0.3, 0.1).drawn(cos_B)
    assert margin_B.mean().item() == pytest.approx(0.3, abs=2e-3)
    assert margin_B.std().item() == pytest.approx(0.1, abs=2e-3)
    clipped_B = _loss(0.3, 0.1, clip=True).drawn(cos_B)
    assert clipped_B.min().item() == pytest.approx(0.2)
    assert clipped_B.max().item() == pytest.approx(0.4)


def test_every_batch_draws_anew_and_the_seed_decides() -> None:
    cos_BC, labels_B = batch(2)
    loss = _loss(0.3, 0.1)
    torch.manual_seed(5)
    first, second = (loss.per_sample(cos_BC, labels_B) for _ in range(2))
    torch.manual_seed(5)
    again = loss.per_sample(cos_BC, labels_B)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("theta", [(math.nan, 0.1), (0.1, -1e-9), (0.1, math.inf)])
def test_theta_out_of_range(theta: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"'sample-margin' must be a finite mean.*found"):
        build_loss("random_margin", theta=theta)
