from __future__ import annotations

import doctest
from typing import Any

import pytest

from lfs_ray.errors import ConfigError
from lfs_ray.losses import catalogue
from lfs_ray.losses.catalogue import LOSSES, SEARCHED_LOSSES, build_loss
from lfs_ray.losses.margin import AmSoftmax, ArcFace
from lfs_ray.losses.searched import GlobalShift


def test_defaults() -> None:
    am = build_loss("am_softmax", scale=32.0)
    arc = build_loss("arcface", scale=64.0)
    assert isinstance(am, AmSoftmax)
    assert isinstance(arc, ArcFace)
    assert (am.scale, am.margin) == (32.0, 0.35)
    assert (arc.scale, arc.margin_rad, arc.rule, arc.grad) == (64.0, 0.5, "fallback", "exact")


def test_theta_is_read_in_its_space() -> None:
    loss = build_loss("global", scale=30.0, theta=[-1.0], space="released-global")
    assert isinstance(loss, GlobalShift)
    assert loss.shift == pytest.approx(10.0, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("arcfase", {}, "did you mean 'arcface'"),
        ("quux", {}, "must be one of softmax, .*normface, .*global, local"),
        (
            "normface",
            {"scale": 0.0},
            r"scale of loss 'normface' must be in \[1, 1000\], found 0.0",
        ),
        ("normface", {"scale": float("nan")}, "found nan"),
        ("normface", {"scale": float("inf")}, "found inf"),
        ("normface", {"margin": 0.1}, "must be among learn_scale, found margin = 0.1"),
        ("normface", {"theta": [0.1]}, r"takes no theta, found 1 number\(s\)"),
        ("am_softmax", {"margin": -0.1}, r"must be in \[0, 2\), found -0.1"),
        ("am_softmax", {"margin": 2.0}, "found 2.0"),
        ("am_softmax", {"margin": float("nan")}, "found nan"),
        ("arcface", {"margin": 28.6}, r"must be in \[0, 3.1416\), found 28.6"),
        (
            "arcface",
            {"rule": "esay"},
            "option rule of loss 'arcface' must be one of plain, .*found esay",
        ),
        ("arcface", {"grad": "none"}, "must be one of exact, detached, found none"),
        ("global", {}, r"must have 1 number\(s\), found 0"),
        ("global", {"theta": [0.1, 0.2]}, "found 2"),
        ("global", {"theta": [0.1], "margin": 0.3}, "must be among .*, found margin"),
        ("global", {"theta": [0.1], "space": "margins"}, "did you mean 'margin'"),
        ("global", {"theta": [-0.1]}, "space 'margin' must be finite and >= 0, found -0.1"),
        ("local", {"theta": [0.1]}, r"must have 10 number\(s\), found 1"),
    ],
)
def test_mistakes_are_one_line(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_loss(name, **{"scale": 32.0, **given})
    assert "\n" not in str(caught.value)


def test_searched_losses_are_losses() -> None:
    assert set(LOSSES) > SEARCHED_LOSSES


def test_docstring() -> None:
    assert doctest.testmod(catalogue) == doctest.TestResults(failed=0, attempted=1)
