"""Losses whose margin follows the length of the embedding: MagFace, AdaFace.

Shapes: B batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.margin import GRAD, RULE, arc_target, detached
from lfs_ray.losses.options import Choice, Number
from lfs_ray.losses.products import given as checked
from lfs_ray.losses.spec import Given, LossSpec

NORM_LIMITS = (1e-3, 100.0)
"""Between these AdaFace clips the lengths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MagMargin:
    """The margin rises in a line from `low_rad` at `shortest` to `high_rad` at `longest`."""

    low_rad: float
    high_rad: float
    shortest: float
    longest: float

    def of(self, norms_B: Tensor) -> Tensor:
        """Margins (B,), in radians; lengths beyond the ends count as the ends."""
        slope = (self.high_rad - self.low_rad) / (self.longest - self.shortest)
        return self.low_rad + slope * (self._clipped(norms_B) - self.shortest)

    def penalty(self, norms_B: Tensor) -> Tensor:
        """Penalty g = a / longest^2 + 1 / a, (B,), least at a = longest."""
        clipped_B = self._clipped(norms_B)
        return clipped_B / self.longest**2 + 1.0 / clipped_B

    def _clipped(self, norms_B: Tensor) -> Tensor:
        return norms_B.clamp(self.shortest, self.longest)


class MagFace(ClassifierLoss):
    """ArcFace whose margin grows with the embedding's length (Meng et al. 2021, MagFace).

    The lengths have a gradient: the penalty lengthens embeddings and the margin holds hard ones
    back, so that the length becomes a measure of quality. Lengths outside [norm_low, norm_high]
    have none; with batch normalisation at the end of the backbone they start near sqrt(D).

    Formula:
        z_y = s cos(theta_y + m(a)), a = |x| clipped to [10, 110];
        m(a) = l_m + (a - 10)(u_m - l_m)/100; z_j = s c_j; adds lambda (a/110^2 + 1/a);
        a rule as in ArcFace, "easy" by default

    Others differ:
        Its repository: rule "easy" by default, "fallback" with easy margins off, lambda = 35.
        FaceX-Zoo: rule "keep", lambda = 20.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"norms"})

    def __init__(self, scale: float, margin: MagMargin, weight: float, rule: str) -> None:
        super().__init__(scale)
        self.margin = margin
        self.weight = weight
        self.rule = rule

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        margin_B = self.margin.of(checked(seen.norms_B))
        return self.scale * arc_target(cos_y_B, margin_B, self.rule)

    def penalty(self, seen: Seen) -> Tensor:
        """What lengthens embeddings: lambda g(a) of each sample, (B,)."""
        return self.weight * self.margin.penalty(checked(seen.norms_B))


def ada_target(cos_y_B: Tensor, quality_B: Tensor, margin: float, limit: float) -> Tensor:
    """Target cosine f = cos(clip(theta - m q, eps, pi - eps)) - m - m q (Kim et al. 2022).

    Args:
        cos_y_B: target cosines (B,), clipped to 1 - eps on both sides.
        quality_B: q in [-1, 1], (B,), without gradient.
        margin: m.
        limit: eps in (0, 1).
    """
    theta_B = cos_y_B.clamp(limit - 1.0, 1.0 - limit).acos()
    turned_B = (theta_B - margin * quality_B).clamp(limit, math.pi - limit)
    return turned_B.cos() - margin - margin * quality_B


class AdaFace(ClassifierLoss):
    """A margin that follows image quality, as the length tells it (Kim et al. 2022, AdaFace).

    Hard samples count more where the embedding is long, and less where it is short. The mean and
    standard deviation of the lengths are state: they are moved in training, before they are used;
    a batch of one leaves them alone. The lengths have no gradient. Only the target cosine is
    clipped.

    Formula:
        z_y = s (cos(clip(theta_y - m q, eps, pi - eps)) - m - m q); z_j = s c_j;
        q = clip(h (a - mu)/(sigma + eps), -1, 1), a = |x| clipped to [0.001, 100];
        mu, sigma <- 0.01 (the batch's) + 0.99 (old), from 20 and 100; c_y clipped to +-(1 - eps)

    Others differ:
        Its repository clips all cosines, so that a wrong centre nearer than 1 - eps has no
        gradient; its class has rate 1 by default, its script and the paper 0.01. CVLface: the same
        value, but the margin is computed without gradient (grad = detached). HaiyuWu's code adds
        the margin as a factor on theta.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"norms"})

    mean: Tensor
    std: Tensor

    def __init__(
        self, scale: float, margin: float, sharpness: float, rate: float, limit: float, grad: str
    ) -> None:
        super().__init__(scale)
        self.margin = margin
        self.sharpness = sharpness
        self.rate = rate
        self.limit = limit
        self.grad = grad
        self.register_buffer("mean", torch.tensor(20.0, dtype=torch.float64))
        self.register_buffer("std", torch.tensor(100.0, dtype=torch.float64))

    def begin(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Move mean and standard deviation of the lengths."""
        norms_B = checked(seen.norms_B).to(self.mean).clamp(*NORM_LIMITS)
        if len(norms_B) > 1:  # one sample has no standard deviation
            self.mean.lerp_(norms_B.mean(), self.rate)
            self.std.lerp_(norms_B.std(), self.rate)

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        f_B = ada_target(cos_y_B, self.quality(seen), self.margin, self.limit)
        return self.scale * (detached(f_B, cos_y_B) if self.grad == "detached" else f_B)

    def quality(self, seen: Seen) -> Tensor:
        """Quality q (B,) in [-1, 1]: how long the embedding is among those of late."""
        norms_B = checked(seen.norms_B).detach().clamp(*NORM_LIMITS)
        scaled_B = (norms_B - self.mean) / (self.std + self.limit) * self.sharpness
        return scaled_B.clamp(-1.0, 1.0)


def _magface(given: Given) -> ClassifierLoss:
    low, high = given.number("norm_low"), given.number("norm_high")
    if low >= high:
        raise ConfigError(
            f"option norm_low of loss 'magface' must be below norm_high, found {low:g} and "
            f"{high:g}: 10 and 110 are usual"
        )
    margin = MagMargin(
        low_rad=given.number("margin_low"),
        high_rad=given.number("margin_high"),
        shortest=low,
        longest=high,
    )
    return MagFace(given.scale, margin, given.number("penalty"), given.text("rule"))


def _adaface(given: Given) -> ClassifierLoss:
    margin, sharpness, rate, limit = (
        given.number(name) for name in ("margin", "h", "rate", "eps")
    )
    return AdaFace(given.scale, margin, sharpness, rate, limit, given.text("grad"))


def _margin_rad(default: float, doc: str) -> Number:
    return Number(default=default, low=0.0, high=math.pi, open_high=True, doc=doc)


SPECS: dict[str, LossSpec] = {
    "magface": LossSpec(
        loss=MagFace,
        make=_magface,
        scale=64.0,
        options={
            "margin_low": _margin_rad(0.45, "l_m, margin of short embeddings, radians"),
            "margin_high": _margin_rad(0.8, "u_m, margin of long embeddings, radians"),
            "norm_low": Number(
                default=10.0, low=0.0, open_low=True, high=1e4, doc="length that counts as short"
            ),
            "norm_high": Number(
                default=110.0, low=0.0, open_low=True, high=1e4, doc="length that counts as long"
            ),
            "penalty": Number(
                default=35.0, low=0.0, high=1e6, doc="lambda, weight of the lengths' penalty"
            ),
            "rule": Choice(default="easy", names=RULE.names, doc=RULE.doc),
        },
        neutral={"margin_low": 0.0, "margin_high": 0.0, "penalty": 0.0},
    ),
    "adaface": LossSpec(
        loss=AdaFace,
        make=_adaface,
        scale=64.0,
        options={
            "margin": Number(default=0.4, low=0.0, high=1.0, doc="m"),
            "h": Number(default=0.333, low=0.0, high=10.0, doc="how fast q leaves 0"),
            "rate": Number(default=0.01, low=0.0, high=1.0, doc="share of a batch in mu, sigma"),
            "eps": Number(
                default=1e-3, low=1e-6, high=0.1, doc="distance kept from angles of 0 and pi"
            ),
            "grad": GRAD,
        },
        neutral={"margin": 0.0},
        exact_gradient=False,
    ),
}
