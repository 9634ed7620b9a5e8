"""Published and recomputed values: tests/golden/losses_*.csv (means and gradients to 1e-9).

Columns: loss, scale (empty: its own), options (`name=value ...`), theta, space, step (which
presentation of the same batch the values are of; empty: the first), mean, one value a sample,
gradient norms by embeddings and centres, and one entry of each.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from heads import Head, cosines, look, make

from lfs_ray.losses.catalogue import LOSSES
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.options import Value

FILES = sorted((Path(__file__).parents[1] / "golden").glob("losses_*.csv"))
ROWS = [row for path in FILES for row in csv.DictReader(path.read_text().splitlines())]
GRADIENTS = ("norm_dx", "norm_dw", "dx_0_0", "dw_1_2")


def _value(text: str) -> Value:
    words: dict[str, Value] = {"true": True, "false": False}
    try:
        return float(text)
    except ValueError:
        return words.get(text, text)


def _loss(row: dict[str, str]) -> ClassifierLoss:
    pairs = (pair.split("=") for pair in row["options"].split())
    options = {name: _value(text) for name, text in pairs}
    theta = [float(number) for number in row["theta"].split()]
    scale = float(row["scale"]) if row["scale"] else None
    return make(row["loss"], 6, scale=scale, theta=theta, space=row["space"], **options)


def _label(row: dict[str, str]) -> str:
    return "-".join(value for value in list(row.values())[:6] if value).replace(" ", "_")


@pytest.mark.parametrize("row", ROWS, ids=_label)
def test_golden(row: dict[str, str], golden_batch: Head) -> None:
    head = Head(golden_batch.x.requires_grad_(), golden_batch.w.requires_grad_(), golden_batch.y)
    loss = _loss(row)
    for _ in range(int(row["step"] or 1) - 1):
        cos_BC, seen = look(loss, head)
        loss(cos_BC, head.y, seen)
    state = {name: value.clone() for name, value in loss.state_dict().items()}
    cos_BC, seen = look(loss, head)
    mean = loss(cos_BC, head.y, seen)
    mean.backward()
    loss.load_state_dict(state)
    per_sample = loss.per_sample(cos_BC, head.y, seen).tolist()
    assert mean.item() == pytest.approx(float(row["mean"]), abs=1e-9, rel=0)
    expected = [float(row[f"s{i}"]) for i in range(6)]
    assert per_sample == pytest.approx(expected, abs=5.1e-6, rel=0)
    assert head.x.grad is not None
    assert head.w.grad is not None
    x, w = head.x.grad, head.w.grad
    found = dict(zip(GRADIENTS, (x.norm(), w.norm(), x[0, 0], w[1, 2]), strict=True))
    for name in GRADIENTS:
        if row[name]:
            assert found[name].item() == pytest.approx(float(row[name]), abs=1e-9, rel=0), name


def test_every_loss_has_golden_values() -> None:
    learned_margins = {"adam_softmax"}  # theirs stand in test_adaptive.py
    assert {row["loss"] for row in ROWS} | learned_margins == LOSSES.keys()


def test_the_batch_is_the_published_one(golden_batch: Head) -> None:
    target = cosines(golden_batch)[torch.arange(6), golden_batch.y]
    expected = [0.098031615812, 0.238150320227, -0.487978812808]
    expected += [0.490978550313, -0.923740869310, 0.944274439617]
    assert target.tolist() == pytest.approx(expected, abs=1e-12)
