from __future__ import annotations

import math

import pytest
import torch
from heads import Head, cosines, make, per_sample
from slow import agree, batch, cross_entropy
from torch import Tensor

from lfs_ray.losses.elastic import ORDERS, ElasticArc, ElasticCos
from lfs_ray.losses.margin import arc_target

GIVEN = [0.44, 0.47, 0.49, 0.51, 0.53, 0.56]


def _fixed(name: str, plus: str, margins: list[float]) -> ElasticArc | ElasticCos:
    """The loss with given draws."""
    loss = make(name, 6, plus=plus)
    assert isinstance(loss, ElasticArc | ElasticCos)
    drawn = torch.tensor(margins, dtype=torch.float64)
    object.__setattr__(loss, "drawn", lambda count: drawn[:count])
    return loss


@pytest.mark.parametrize(
    ("name", "plus", "mean", "expected"),
    [
        (
            "elastic_arc",
            "none",
            60.786474118,
            "27.18612 50.59932 105.95527 56.15974 122.02252 2.79588",
        ),
        (
            "elastic_arc",
            "intended",
            60.978718507,
            "31.35097 51.84275 107.29549 53.60060 121.73193 .05057",
        ),
        (
            "elastic_arc",
            "upstream",
            61.348639368,
            "34.25021 53.07986 105.25271 51.68392 122.32118 1.50395",
        ),
        (
            "elastic_cos",
            "none",
            60.498511941,
            "18.01971 41.27586 105.09963 47.98272 142.06107 8.55208",
        ),
        (
            "elastic_cos",
            "intended",
            60.556706864,
            "22.49971 42.55586 107.65963 45.42272 143.98107 1.22125",
        ),
        (
            "elastic_cos",
            "upstream",
            60.498699214,
            "25.69971 43.83586 103.81963 43.50272 139.50107 6.63320",
        ),
    ],
)
def test_golden(name: str, plus: str, mean: float, expected: str, golden_batch: Head) -> None:
    margins = GIVEN if name == "elastic_arc" else [margin - 0.15 for margin in GIVEN]
    loss = _fixed(name, plus, margins)
    found = loss.per_sample(cosines(golden_batch), golden_batch.y)
    assert found.mean().item() == pytest.approx(mean, abs=1e-9)
    assert found.tolist() == pytest.approx([float(one) for one in expected.split()], abs=5.1e-6)


def test_harder_samples_get_larger_margins() -> None:
    cos_y_B = torch.tensor([0.3, -0.9, 0.8, 0.1])
    margins_B = torch.tensor([0.4, 0.7, 0.5, 0.6])
    assert ORDERS["none"](margins_B, cos_y_B).tolist() == margins_B.tolist()
    intended = ORDERS["intended"](margins_B, cos_y_B)
    assert intended.tolist() == torch.tensor([0.5, 0.7, 0.4, 0.6]).tolist()
    upstream = ORDERS["upstream"](margins_B, cos_y_B)  # sorted, by the order 2, 0, 3, 1
    assert upstream.tolist() == torch.tensor([0.6, 0.4, 0.7, 0.5]).tolist()


def _drawn(name: str, count: int, **options: float | str | bool) -> Tensor:
    loss = make(name, 3, **options)
    assert isinstance(loss, ElasticArc | ElasticCos)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return loss.drawn(count)


def test_the_law_of_the_draws() -> None:
    drawn = _drawn("elastic_arc", 100_000, margin=0.4, sd=0.1)
    assert drawn.mean().item() == pytest.approx(0.4, abs=2e-3)
    assert drawn.std().item() == pytest.approx(0.1, rel=0.01)
    clipped = _drawn("elastic_cos", 100_000, margin=0.4, sd=0.1, clip=True)
    assert clipped.min().item() == pytest.approx(0.3)
    assert clipped.max().item() == pytest.approx(0.5)
    assert ((clipped > 0.3001) & (clipped < 0.4999)).double().mean().item() == pytest.approx(
        0.6827, abs=0.01
    )


def test_draws_are_seeded_and_differ() -> None:
    cos_BC, labels_B = batch(0)
    loss = make("elastic_cos", 9)
    first, again = (per_sample(loss, cos_BC, labels_B) for _ in range(2))
    assert torch.equal(first, again)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        other = loss.per_sample(cos_BC, labels_B)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["elastic_arc", "elastic_cos"])
def test_outside_training_the_margin_is_m(name: str) -> None:
    def reference(c_y: float, others: list[float]) -> float:
        f = math.cos(math.acos(c_y) + 0.4) if name == "elastic_arc" else c_y - 0.4
        return cross_entropy(64.0 * f, [64.0 * c for c in others])

    agree(make(name, 9, margin=0.4, sd=0.3), reference)


@pytest.mark.parametrize("rule", ["plain", "fallback", "easy", "keep"])
def test_arc_with_drawn_margins_against_loops(rule: str) -> None:
    cos_BC, labels_B = batch(1)
    loss = make("elastic_arc", 9, margin=0.3, sd=0.4, rule=rule)
    assert isinstance(loss, ElasticArc)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        margins = loss.drawn(len(labels_B)).tolist()
    assert min(margins) < 0.0 < max(margins)
    expected = []
    for row, y, margin in zip(cos_BC.tolist(), labels_B.tolist(), margins, strict=True):
        angle = math.acos(row[y])
        f = math.cos(angle + margin)
        if angle + margin >= math.pi:
            f = {"fallback": row[y] - margin * math.sin(margin), "keep": row[y]}.get(rule, f)
        if rule == "easy" and row[y] <= 0:
            f = row[y]
        expected.append(cross_entropy(64 * f, [64 * c for j, c in enumerate(row) if j != y]))
    found = per_sample(loss, cos_BC, labels_B).tolist()
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("rule", ["plain", "fallback", "keep"])
def test_a_margin_below_zero_never_passes_pi(rule: str) -> None:
    cos_B = torch.tensor([math.cos(3.0)], dtype=torch.float64)
    margin_B = torch.tensor([-0.3], dtype=torch.float64)
    assert arc_target(cos_B, margin_B, rule).item() == pytest.approx(math.cos(2.7), abs=1e-14)


def test_no_spread_is_the_single_margin() -> None:
    cos_BC, labels_B = batch(2)
    for name, single, options in (
        ("elastic_arc", "arcface", {"rule": "plain"}),
        ("elastic_cos", "am_softmax", {}),
    ):
        elastic = make(name, 9, margin=0.3, sd=0.0, plus="intended")
        expected = make(single, 9, margin=0.3, **options)
        torch.testing.assert_close(
            per_sample(elastic, cos_BC, labels_B), per_sample(expected, cos_BC, labels_B)
        )
