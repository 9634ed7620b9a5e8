"""Losses with a margin set by hand: NormFace, AM-Softmax (CosFace), ArcFace.

Each is cross-entropy over s * cos with another target logit s * f(cos_y). Between the cosine
classifier and the optimizer; the searched losses are in searched.py. Shapes: B batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.options import Choice, Number, Switch
from lfs_ray.losses.products import products
from lfs_ray.losses.spec import Given, LossSpec


def am_target(cos_y_B: Tensor, margin: float) -> Tensor:
    """Target cosine f = cos_y - m (Wang et al. 2018, AM-Softmax eq. 4; CosFace eq. 4)."""
    return cos_y_B - margin


def arc_target(cos_y_B: Tensor, margin_rad: float | Tensor, rule: str) -> Tensor:
    """Target cosine f = cos(theta + m) (Deng et al. 2019, ArcFace eq. 3); a rule where it turns.

    Args:
        cos_y_B: target cosines (B,), fp32 or fp64.
        margin_rad: m in (-pi, pi), one for all or one a sample, (B,).
        rule: a name in ARC_RULES: "plain" leaves the curve as it is; "fallback" takes
            cos - m sin m where theta + m >= pi; "keep" takes cos there; "easy" takes cos
            where cos <= 0.

    Returns:
        Target cosines (B,). The gradient, by a tensor of margins too, is exact and finite, at
        cos = 1 and -1 too.
    """
    return ARC_RULES[rule](cos_y_B, cos_of_sum(cos_y_B, margin_rad), margin_rad)


def safe_sin(cos_B: Tensor) -> Tensor:
    """Sine of the angle, at least a rounding error: its gradient is finite at cos = 1 and -1.

    1 - cos^2 as a product keeps its digits near 1. The floor is far below the smallest value above
    0 that this can take, so it only acts at |cos| >= 1.
    """
    floor = torch.finfo(cos_B.dtype).eps ** 2
    return ((1.0 - cos_B) * (1.0 + cos_B)).clamp_min(floor).sqrt()


def cos_of_sum(cos_B: Tensor, margin_rad: float | Tensor) -> Tensor:
    """Cosine of theta + m, without an arc cosine."""
    return cos_B * _cos(margin_rad) - safe_sin(cos_B) * _sin(margin_rad)


def detached(f_B: Tensor, cos_y_B: Tensor) -> Tensor:
    """The value of f with the gradient of the plain cosine: the margin counts as a constant."""
    return cos_y_B + (f_B - cos_y_B).detach()


def _cos(angle_rad: float | Tensor) -> float | Tensor:
    return angle_rad.cos() if isinstance(angle_rad, Tensor) else math.cos(angle_rad)


def _sin(angle_rad: float | Tensor) -> float | Tensor:
    return angle_rad.sin() if isinstance(angle_rad, Tensor) else math.sin(angle_rad)


def _before_pi(cos_B: Tensor, margin_rad: float | Tensor) -> Tensor:
    # theta + m < pi; a margin below 0 never gets there.
    if isinstance(margin_rad, Tensor):
        return (cos_B > -margin_rad.detach().cos()) | (margin_rad <= 0.0)
    return cos_B > -math.cos(margin_rad)


def _plain(cos_B: Tensor, sum_B: Tensor, margin_rad: float | Tensor) -> Tensor:
    return sum_B


def _fallback(cos_B: Tensor, sum_B: Tensor, margin_rad: float | Tensor) -> Tensor:
    line_B = cos_B - margin_rad * _sin(margin_rad)
    return torch.where(_before_pi(cos_B, margin_rad), sum_B, line_B)


def _easy(cos_B: Tensor, sum_B: Tensor, margin_rad: float | Tensor) -> Tensor:
    return torch.where(cos_B > 0.0, sum_B, cos_B)


def _keep(cos_B: Tensor, sum_B: Tensor, margin_rad: float | Tensor) -> Tensor:
    return torch.where(_before_pi(cos_B, margin_rad), sum_B, cos_B)


ARC_RULES: dict[str, Callable[[Tensor, Tensor, float | Tensor], Tensor]] = {
    "plain": _plain,
    "fallback": _fallback,
    "easy": _easy,
    "keep": _keep,
}
AM_RULES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "plain": lambda cos_B, margin: torch.ones_like(cos_B, dtype=torch.bool),
    "easy": lambda cos_B, margin: cos_B > 0.0,
    "easy-m": lambda cos_B, margin: cos_B > margin,
}
"""Where the margin of AM-Softmax applies."""
GRADS = ("exact", "detached")


class NormFace(ClassifierLoss):
    """Cross-entropy over s * cos (Wang et al. 2017, NormFace): no margin.

    Formula:
        z_j = s c_j

    Others differ:
        pytorch-metric-learning: temperature 0.05, which is s = 20.
    """


class LearnedScaleNormFace(ClassifierLoss):
    """NormFace whose s is learned, as its paper allows: the option learn_scale."""

    shardable: ClassVar[bool] = False
    plain_negatives: ClassVar[bool] = False

    def __init__(self, scale: float) -> None:
        super().__init__(scale)
        self.learned_scale = nn.Parameter(torch.tensor(scale))

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.learned_scale * cos_y_B

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of the other classes."""
        return products(cos_BJ, self.learned_scale.expand(len(cos_BJ)), None)


class AmSoftmax(ClassifierLoss):
    """Target logit lowered by a cosine margin (AM-Softmax eq. 4; CosFace eq. 4).

    Formula:
        z_y = s (c_y - m); z_j = s c_j

    Others differ:
        insightface's CosFace: m = 0.40. SV-X-Softmax and the released code of Search-Softmax:
        s = 32, rule "easy".
    """

    def __init__(self, scale: float, margin: float, rule: str = "plain") -> None:
        super().__init__(scale)
        self.margin = margin
        self.rule = rule

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        f_B = am_target(cos_y_B, self.margin)
        if self.rule != "plain":
            f_B = torch.where(AM_RULES[self.rule](cos_y_B, self.margin), f_B, cos_y_B)
        return self.scale * f_B


class ArcFace(ClassifierLoss):
    """Target angle widened by a margin (Deng et al. 2019, ArcFace eq. 3).

    grad="detached" computes the margin without gradient, as several public implementations do:
    the same loss value, but the target logit's gradient lacks the factor sin(theta + m)/sin theta.

    Formula:
        z_y = s cos(theta_y + m); z_j = s c_j; a rule where theta_y + m >= pi

    Others differ:
        insightface: rule "plain", detached. FaceX-Zoo: s = 32, m = 0.35, rule "keep".
        pytorch-metric-learning: margin in degrees (28.6, which is 0.49917 rad), "fallback".
        SV-X-Softmax: s = 32, m = 0.35, rule "easy".
    """

    def __init__(self, scale: float, margin_rad: float, rule: str, grad: str) -> None:
        super().__init__(scale)
        self.margin_rad = margin_rad
        self.rule = rule
        self.grad = grad

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * self.margined(cos_y_B)

    def margined(self, cos_y_B: Tensor) -> Tensor:
        """Target cosine (B,) after the margin."""
        f_B = arc_target(cos_y_B, self.margin_rad, self.rule)
        return detached(f_B, cos_y_B) if self.grad == "detached" else f_B


MARGIN_RAD = Number(default=0.5, low=0.0, high=math.pi, open_high=True, doc="m, radians")
RULE = Choice(
    default="fallback",
    names=tuple(ARC_RULES),
    doc="where theta + m >= pi: plain (nothing), fallback (c - m sin m), keep (c); easy: the "
    "margin only where c > 0",
)
GRAD = Choice(default="exact", names=GRADS, doc="whether the margin is differentiated")


def _normface(given: Given) -> ClassifierLoss:
    learned = given.flag("learn_scale")
    return LearnedScaleNormFace(given.scale) if learned else NormFace(given.scale)


def _am_softmax(given: Given) -> ClassifierLoss:
    return AmSoftmax(given.scale, given.number("margin"), given.text("rule"))


def _arcface(given: Given) -> ClassifierLoss:
    rule, grad = given.text("rule"), given.text("grad")
    return ArcFace(given.scale, given.number("margin"), rule, grad)


SPECS: dict[str, LossSpec] = {
    "normface": LossSpec(
        loss=NormFace,
        make=_normface,
        scale=32.0,
        options={"learn_scale": Switch(default=False, doc="whether s is learned, from scale on")},
        neutral={},
    ),
    "am_softmax": LossSpec(
        loss=AmSoftmax,
        make=_am_softmax,
        scale=64.0,
        options={
            "margin": Number(
                default=0.35, low=0.0, high=2.0, open_high=True, doc="m, cosine units"
            ),
            "rule": Choice(
                default="plain",
                names=tuple(AM_RULES),
                doc="margin everywhere, only where c > 0 (easy), or only where c > m (easy-m)",
            ),
        },
        neutral={"margin": 0.0},
        margin_in_cosine=True,
    ),
    "arcface": LossSpec(
        loss=ArcFace,
        make=_arcface,
        scale=64.0,
        options={
            "margin": Number(default=0.5, low=0.0, high=math.pi, open_high=True, doc="m, radians"),
            "rule": RULE,
            "grad": GRAD,
        },
        neutral={"margin": 0.0},
    ),
}
