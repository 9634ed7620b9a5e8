from __future__ import annotations

import math

import pytest
import torch
from by_hand import random_head
from heads import look, make
from slow import cross_entropy


@pytest.mark.parametrize("sub_centers", [1, 2, 3])
def test_against_loops(sub_centers: int) -> None:
    head = random_head(0)
    loss = make("sub_center_arcface", 7, sub_centers=sub_centers, scale=16.0, rule="plain")
    assert loss.sub_centers == sub_centers
    cos_BC, seen = look(loss, head)
    expected = []
    for x, y in zip(head.x.tolist(), head.y.tolist(), strict=True):
        nearest = []
        for w in head.w.tolist():
            rolled = [w[-k:] + w[:-k] if k else w for k in range(sub_centers)]
            dots = [sum(a * b for a, b in zip(x, centre, strict=True)) for centre in rolled]
            nearest.append(max(dots) / math.hypot(*x) / math.hypot(*w))
        target = 16.0 * math.cos(math.acos(nearest[y]) + 0.5)
        expected.append(cross_entropy(target, [16.0 * c for j, c in enumerate(nearest) if j != y]))
    found = loss.per_sample(cos_BC, head.y, seen).tolist()
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_one_centre_is_arcface() -> None:
    head = random_head(1)
    loss, arcface = make("sub_center_arcface", 7, sub_centers=1), make("arcface", 7)
    cos_BC, seen = look(loss, head)
    found = loss.per_sample(cos_BC, head.y, seen)
    assert torch.equal(found, arcface.per_sample(cos_BC, head.y, seen))
