"""The section `loss`: mistakes, written-out defaults, and what is built from it."""

from __future__ import annotations

import re

import pytest
import torch

from lfs_ray.config.sections import LossConfig
from lfs_ray.losses.catalogue import LOSSES
from lfs_ray.losses.margin import AmSoftmax, ArcFace
from lfs_ray.losses.spec import HeadSize
from lfs_ray.training.loss_choice import loss_mistakes, new_loss, resolved_loss

SIZE = HeadSize(num_classes=5, embedding_dim=4, epoch_images=10)


def _new(loss: LossConfig) -> torch.nn.Module:
    return new_loss(loss, theta=(), space="", size=SIZE, init_seed=1)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_resolved_loss_is_whole_and_stays_as_it_is(name: str) -> None:
    resolved = resolved_loss(LossConfig(name=name))
    assert resolved.scale == LOSSES[name].scale
    written = {text.partition("=")[0] for text in resolved.options}
    keys = {key for key in ("margin", "rule", "grad") if getattr(resolved, key) is not None}
    assert written | keys == LOSSES[name].options.keys()
    assert loss_mistakes(resolved) == []
    assert resolved_loss(resolved) == resolved


def test_margin_rule_and_grad_reach_the_loss() -> None:
    built = _new(LossConfig(name="arcface", margin=0.1, rule="easy", grad="detached", scale=20))
    assert isinstance(built, ArcFace)
    assert (built.margin_rad, built.rule, built.grad, built.scale) == (0.1, "easy", "detached", 20)


def test_options_are_texts_and_focal_is_on_top() -> None:
    built = _new(LossConfig(name="am_softmax", options=("margin = 0.2",), focal_gamma=2.0))
    assert isinstance(built, AmSoftmax)
    assert (built.margin, built.scale, built.focal_gamma) == (0.2, 64.0, 2.0)


@pytest.mark.parametrize(
    ("loss", "line"),
    [
        (LossConfig(name="arcfase"), "found 'arcfase': did you mean 'arcface'"),
        (LossConfig(name="normface", margin=0.1), "'normface'.* found margin = 0.1"),
        (
            LossConfig(name="am_softmax", margin=2.0),
            r"margin of loss 'am_softmax' must be in \[0, 2\), found 2.0",
        ),
        (
            LossConfig(name="am_softmax", options=("margin",)),
            "loss.options must be texts name=value, got 'margin'",
        ),
        (
            LossConfig(name="am_softmax", options=("margin=much",)),
            r"margin of loss 'am_softmax' must be in \[0, 2\), found much",
        ),
        (LossConfig(name="arcface", options=("t=1",)), "must be among .*, found t = 1"),
    ],
)
def test_mistakes_are_one_line(loss: LossConfig, line: str) -> None:
    (found,) = loss_mistakes(loss)
    assert "\n" not in found
    assert re.search(line, found), found
