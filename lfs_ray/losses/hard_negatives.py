"""Losses that raise hard negatives: MV-Softmax, CurricularFace.

A negative is hard where its cosine exceeds the target's after the margin. That threshold is a
constant to the gradient; each family has its own idea of what becomes of the negatives above it.
Beside margin.py, whose target curves these take; npcface.py is the third of the kind. Shapes: B
batch, J a piece of the classes.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.margin import AM_RULES, MARGIN_RAD, RULE, am_target, arc_target
from lfs_ray.losses.options import Choice, Number, Option
from lfs_ray.losses.spec import Given, LossSpec


def hard(cos_BJ: Tensor, threshold_B: Tensor) -> Tensor:
    """1 where a cosine exceeds its sample's threshold, else 0: a new tensor of cos_BJ's dtype."""
    # Written as numbers, not as a mask: no temporary, and no slow selection afterwards.
    return torch.gt(cos_BJ, threshold_B.unsqueeze(1), out=torch.empty_like(cos_BJ))


def times_line(weights_BJ: Tensor, cos_BJ: Tensor, intercept: float, slope: float) -> Tensor:
    """Weights * (intercept + slope * c), in place: a second temporary of (B, J) costs most."""
    if abs(intercept) < 1e-12:
        return weights_BJ.mul_(cos_BJ).mul_(slope)
    weights_BJ.mul_(intercept)
    return weights_BJ.addcmul_(weights_BJ, cos_BJ, value=slope / intercept)


class _MvSoftmax(ClassifierLoss):
    """What MV-AM and MV-Arc share: negatives above `threshold` become (1 + t) c + t, or c + t."""

    plain_negatives = False

    def __init__(self, scale: float, margin: float, emphasis: float, kind: str, rule: str) -> None:
        super().__init__(scale)
        self.margin = margin
        self.emphasis = emphasis
        self.adaptive = kind == "adaptive"
        self.rule = rule

    def threshold(self, cos_y_B: Tensor) -> Tensor:
        """Cosine (B,) above which a negative is hard; the target rule has no say in it."""
        return am_target(cos_y_B, self.margin)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes."""
        hard_BJ = hard(cos_BJ, self.threshold(cos_y_B))
        slope = self.emphasis if self.adaptive else 0.0
        return times_line(hard_BJ, cos_BJ, self.emphasis, slope).add_(cos_BJ).mul_(self.scale)

    def slopes(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Derivative (B, J) of each logit by its cosine."""
        if not self.adaptive:
            return torch.full_like(cos_BJ, self.scale)
        hard_BJ = hard(cos_BJ, self.threshold(cos_y_B))
        return hard_BJ.mul_(self.scale * self.emphasis).add_(self.scale)


class MvAm(_MvSoftmax):
    """AM-Softmax with raised hard negatives (Wang et al. 2020, MV-Softmax eq. 6-9: MV-AM).

    t = 0 is AM-Softmax.

    Formula:
        z_y = s (c_y - m), by a rule
        hard, c_j > c_y - m: z_j = s ((1 + t) c_j + t) adaptive, s (c_j + t) fixed
        else: z_j = s c_j

    Others differ:
        SV-X-Softmax, the authors' code: rule "easy". FaceX-Zoo: t = 0.12, rule "easy-m".
    """

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        f_B = am_target(cos_y_B, self.margin)
        return self.scale * torch.where(AM_RULES[self.rule](cos_y_B, self.margin), f_B, cos_y_B)


class MvArc(_MvSoftmax):
    """ArcFace with raised hard negatives (Wang et al. 2020, MV-Softmax eq. 6-9: MV-Arc).

    t = 0 is ArcFace. The threshold is cos(theta_y + m) under every rule.

    Formula:
        z_y = s cos(theta_y + m), by a rule where theta_y + m >= pi
        hard, c_j > cos(theta_y + m): z_j = s ((1 + t) c_j + t) adaptive, s (c_j + t) fixed
        else: z_j = s c_j

    Others differ:
        SV-X-Softmax, the authors' code: m = 0.35, rule "easy". FaceX-Zoo: rule "easy".
    """

    def threshold(self, cos_y_B: Tensor) -> Tensor:
        """Cosine (B,) above which a negative is hard; the target rule has no say in it."""
        return arc_target(cos_y_B, self.margin, "plain")

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * arc_target(cos_y_B, self.margin, self.rule)


class CurricularFace(ClassifierLoss):
    """ArcFace; hard negatives count more as training proceeds (Huang et al. 2020, eq. 5-9).

    t, a running mean of the target cosine, starts at 0 and is updated before it is used, in
    training only. It may be negative at first, and then weakens hard negatives: kept as published.

    Formula:
        z_y = s cos(theta_y + m), by a rule where theta_y + m >= pi
        hard, c_j > cos(theta_y + m): z_j = s c_j (t + c_j), else z_j = s c_j
        t <- r mean(c_y) + (1 - r) t, without gradient

    Others differ:
        TFace: r = 0.1. HaiyuWu's collection: the running mean is of all cosines.
    """

    plain_negatives = False
    progress: Tensor

    def __init__(self, scale: float, margin_rad: float, ema_rate: float, rule: str) -> None:
        super().__init__(scale)
        self.margin_rad = margin_rad
        self.ema_rate = ema_rate
        self.rule = rule
        self.register_buffer("progress", torch.zeros((), dtype=torch.float64))

    def begin(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Move t towards the batch's mean target cosine."""
        self.progress.lerp_(cos_y_B.mean().to(self.progress.dtype), self.ema_rate)

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * arc_target(cos_y_B, self.margin_rad, self.rule)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes: c s (1 + hard (t - 1 + c))."""
        hard_BJ = hard(cos_BJ, arc_target(cos_y_B, self.margin_rad, "plain"))
        intercept = self.scale * (self.progress.item() - 1.0)
        factors_BJ = times_line(hard_BJ, cos_BJ, intercept, self.scale)
        return factors_BJ.add_(self.scale).mul_(cos_BJ)

    def slopes(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Derivative (B, J) of each logit by its cosine: s (1 + hard (t - 1 + 2 c))."""
        hard_BJ = hard(cos_BJ, arc_target(cos_y_B, self.margin_rad, "plain"))
        intercept = self.scale * (self.progress.item() - 1.0)
        return times_line(hard_BJ, cos_BJ, intercept, 2.0 * self.scale).add_(self.scale)


MV_OPTIONS: dict[str, Option] = {
    "hard": Choice(
        default="adaptive",
        names=("adaptive", "fixed"),
        doc="a hard cosine becomes (1 + t) c + t (adaptive) or c + t (fixed)",
    ),
    "emphasis": Number(default=0.2, low=0.0, high=10.0, doc="t, raises hard negatives"),
}


def _mv(loss: type[_MvSoftmax], given: Given) -> ClassifierLoss:
    margin, emphasis = given.number("margin"), given.number("emphasis")
    return loss(given.scale, margin, emphasis, given.text("hard"), given.text("rule"))


def _curricularface(given: Given) -> ClassifierLoss:
    margin_rad, ema_rate = given.number("margin"), given.number("ema_rate")
    return CurricularFace(given.scale, margin_rad, ema_rate, given.text("rule"))


SPECS: dict[str, LossSpec] = {
    "mv_am": LossSpec(
        loss=MvAm,
        make=functools.partial(_mv, MvAm),
        scale=32.0,
        options={
            "margin": Number(
                default=0.35, low=0.0, high=2.0, open_high=True, doc="m, cosine units"
            ),
            **MV_OPTIONS,
            "rule": Choice(
                default="plain",
                names=tuple(AM_RULES),
                doc="target margin everywhere, only where c > 0 (easy), or only where c > m "
                "(easy-m)",
            ),
        },
        neutral={"margin": 0.0, "emphasis": 0.0},
    ),
    "mv_arc": LossSpec(
        loss=MvArc,
        make=functools.partial(_mv, MvArc),
        scale=32.0,
        options={"margin": MARGIN_RAD, **MV_OPTIONS, "rule": RULE},
        neutral={"margin": 0.0, "emphasis": 0.0},
    ),
    "curricularface": LossSpec(
        loss=CurricularFace,
        make=_curricularface,
        scale=64.0,
        options={
            "margin": MARGIN_RAD,
            "ema_rate": Number(
                default=0.01, low=0.0, high=1.0, doc="r, share of the batch in the running mean t"
            ),
            "rule": RULE,
        },
    ),
}
