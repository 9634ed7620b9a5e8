"""Losses with a margin set by hand: NormFace, AM-Softmax (CosFace), ArcFace.

Each is cross-entropy over s * cos with another target logit s * f(cos_y). Between the cosine
classifier and the optimizer; the searched losses are in searched.py. Shapes: B batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss


def am_target(cos_y_B: Tensor, margin: float) -> Tensor:
    """Target cosine f = cos_y - m (Wang et al. 2018, AM-Softmax eq. 4; CosFace eq. 4)."""
    return cos_y_B - margin


def arc_target(cos_y_B: Tensor, margin_rad: float, rule: str) -> Tensor:
    """Target cosine f = cos(theta + m) (Deng et al. 2019, ArcFace eq. 3); a rule where it turns.

    Args:
        cos_y_B: target cosines (B,), fp32 or fp64.
        margin_rad: m in [0, pi).
        rule: a name in ARC_RULES: "plain" leaves the curve as it is; "fallback" takes
            cos - m sin m where theta + m >= pi; "keep" takes cos there; "easy" takes cos
            where cos <= 0.

    Returns:
        Target cosines (B,). The gradient is exact and finite, at cos = 1 and -1 too.
    """
    return ARC_RULES[rule](cos_y_B, _cos_of_sum(cos_y_B, margin_rad), margin_rad)


def _cos_of_sum(cos_B: Tensor, margin_rad: float) -> Tensor:
    # 1 - cos^2 as a product keeps its digits near 1. The floor is far below the smallest non-zero
    # value this can take, so it only acts at |cos| >= 1, where it makes the gradient finite.
    floor = torch.finfo(cos_B.dtype).eps ** 2
    sin_B = ((1.0 - cos_B) * (1.0 + cos_B)).clamp_min(floor).sqrt()
    return cos_B * math.cos(margin_rad) - sin_B * math.sin(margin_rad)


def _plain(cos_B: Tensor, sum_B: Tensor, margin_rad: float) -> Tensor:
    return sum_B


def _fallback(cos_B: Tensor, sum_B: Tensor, margin_rad: float) -> Tensor:
    line_B = cos_B - margin_rad * math.sin(margin_rad)
    return torch.where(cos_B > -math.cos(margin_rad), sum_B, line_B)


def _easy(cos_B: Tensor, sum_B: Tensor, margin_rad: float) -> Tensor:
    return torch.where(cos_B > 0.0, sum_B, cos_B)


def _keep(cos_B: Tensor, sum_B: Tensor, margin_rad: float) -> Tensor:
    return torch.where(cos_B > -math.cos(margin_rad), sum_B, cos_B)


ARC_RULES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "plain": _plain,
    "fallback": _fallback,
    "easy": _easy,
    "keep": _keep,
}
GRADS = ("exact", "detached")


class NormFace(ClassifierLoss):
    """Cross-entropy over s * cos (Wang et al. 2017, NormFace): no margin."""


class AmSoftmax(ClassifierLoss):
    """Target logit s (cos_y - m), `am_target`; s 64 and m 0.35 are usual."""

    def __init__(self, scale: float, margin: float) -> None:
        super().__init__(scale)
        self.margin = margin

    def target(self, cos_y_B: Tensor) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * am_target(cos_y_B, self.margin)


class ArcFace(ClassifierLoss):
    """Target logit s cos(theta + m), `arc_target`; s 64 and m 0.5 rad are usual.

    grad="detached" computes the margin without gradient, as several public implementations do:
    the same loss value, but the target logit's gradient lacks the factor sin(theta + m)/sin theta.
    """

    def __init__(self, scale: float, margin_rad: float, rule: str, grad: str) -> None:
        super().__init__(scale)
        self.margin_rad = margin_rad
        self.rule = rule
        self.grad = grad

    def target(self, cos_y_B: Tensor) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        f_B = arc_target(cos_y_B, self.margin_rad, self.rule)
        if self.grad == "detached":
            f_B = cos_y_B + (f_B - cos_y_B).detach()
        return self.scale * f_B
