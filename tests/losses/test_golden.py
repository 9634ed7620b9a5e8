"""Published and recomputed values: tests/golden/losses.csv (means and gradients to 1e-9)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.contract import ClassifierLoss

GOLDEN = Path(__file__).parents[1] / "golden" / "losses.csv"
ROWS = list(csv.DictReader(GOLDEN.read_text().splitlines()))
GRADIENTS = ("norm_dx", "norm_dw", "dx_0_0", "dw_1_2")


def _loss(row: dict[str, str]) -> ClassifierLoss:
    given: dict[str, Any] = {key: row[key] for key in ("rule", "grad", "space") if row[key]}
    if row["margin"]:
        given["margin"] = float(row["margin"])
    theta = [float(number) for number in row["theta"].split()]
    return build_loss(row["loss"], scale=float(row["scale"]), theta=theta, **given)


def _label(row: dict[str, str]) -> str:
    return "-".join(value for value in list(row.values())[:7] if value).replace(" ", "_")


@pytest.mark.parametrize("row", ROWS, ids=_label)
def test_golden(row: dict[str, str], golden_batch: Any) -> None:
    x = golden_batch.x.requires_grad_()
    w = golden_batch.w.requires_grad_()
    loss = _loss(row)
    cos = functional.normalize(x) @ functional.normalize(w).T
    mean = loss(cos, golden_batch.y)
    mean.backward()
    assert mean.item() == pytest.approx(float(row["mean"]), abs=1e-9, rel=0)
    expected = [float(row[f"s{i}"]) for i in range(6)]
    per_sample = loss.per_sample(cos, golden_batch.y).tolist()
    assert per_sample == pytest.approx(expected, abs=5.1e-6, rel=0)
    found = dict(
        zip(GRADIENTS, (x.grad.norm(), w.grad.norm(), x.grad[0, 0], w.grad[1, 2]), strict=True)
    )
    for name in GRADIENTS:
        if row[name]:
            assert found[name].item() == pytest.approx(float(row[name]), abs=1e-9, rel=0), name


def test_every_loss_has_golden_gradients_or_is_its_sibling() -> None:
    with_gradients = {row["loss"] for row in ROWS if row["norm_dx"]}
    assert with_gradients == {"normface", "am_softmax", "arcface", "global"}
    assert {row["loss"] for row in ROWS} == with_gradients | {"local"}


def test_the_batch_is_the_published_one(golden_batch: Any) -> None:
    cos = functional.normalize(golden_batch.x) @ functional.normalize(golden_batch.w).T
    target = cos[torch.arange(6), golden_batch.y]
    expected = [0.098031615812, 0.238150320227, -0.487978812808]
    expected += [0.490978550313, -0.923740869310, 0.944274439617]
    assert target.tolist() == pytest.approx(expected, abs=1e-12)
