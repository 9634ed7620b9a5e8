"""Losses that multiply the target angle: L-Softmax, A-Softmax (SphereFace), SphereFace-R.

psi(theta) = (-1)^k cos(m theta) - 2k continues cos(m theta) downwards over all of [0, pi]. For
whole m it is a polynomial of the cosine on each piece, so there is no arc cosine and no infinite
slope. A weight lambda mixes the plain cosine in and is annealed. Shapes: B batch, C classes, J a
piece of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.margin import detached
from lfs_ray.losses.options import Choice, Number, Option
from lfs_ray.losses.products import given as checked
from lfs_ray.losses.products import products
from lfs_ray.losses.raw import NORMALISED, lengths, raw_or_normalised_scale
from lfs_ray.losses.spec import Given, LossSpec

SCHEDULES: dict[str, Callable[[Tensor], Tensor]] = {
    "sphereface": lambda step: 1000.0 / (1.0 + 0.12 * step),
    "sv-x": lambda step: 1000.0 / (1.0 + 1e-4 * step) ** 2,
    "constant": lambda step: torch.zeros_like(step),
}
"""Lambda at each batch, the first of which is 1, before its floor."""


def psi(cos_y_B: Tensor, multiple: int) -> Tensor:
    """(-1)^k cos(m theta) - 2k, theta in [k pi/m, (k+1) pi/m], k < m (Liu et al. 2016 eq. 6).

    Args:
        cos_y_B: target cosines (B,), fp32 or fp64.
        multiple: m >= 1.

    Returns:
        (B,); the gradient is exact and finite everywhere, and continuous.
    """
    before_B, chebyshev_B = torch.ones_like(cos_y_B), cos_y_B
    for _ in range(multiple - 1):
        before_B, chebyshev_B = chebyshev_B, 2.0 * cos_y_B * chebyshev_B - before_B
    turns_B = torch.zeros_like(cos_y_B)
    for k in range(1, multiple):
        turns_B += cos_y_B.detach() <= math.cos(k * math.pi / multiple)
    return (1.0 - 2.0 * (turns_B % 2.0)) * chebyshev_B - 2.0 * turns_B


def psi_of_real_multiple(cos_y_B: Tensor, multiple: float) -> Tensor:
    """The same for any m >= 1, with k = floor(m theta/pi) (Liu et al. 2022); no gradient."""
    with torch.no_grad():
        angle_B = multiple * cos_y_B.clamp(-1.0, 1.0).acos()
        turns_B = (angle_B / math.pi).floor()
        return (1.0 - 2.0 * (turns_B % 2.0)) * angle_B.cos() - 2.0 * turns_B


class Annealing(nn.Module):
    """lambda = max(floor, schedule(step)); the step is state, counted in training batches."""

    step: Tensor

    def __init__(self, schedule: str, floor: float) -> None:
        super().__init__()
        self.schedule = schedule
        self.floor = floor
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def advance(self) -> None:
        """Count one more batch."""
        self.step += 1

    def weight(self) -> Tensor:
        """lambda, a float64 scalar; the weight of the first batch before any was seen."""
        return SCHEDULES[self.schedule](self.step.clamp_min(1).double()).clamp_min(self.floor)


class _Annealed(ClassifierLoss):
    """What L- and A-Softmax share: the target cosine (lambda c + psi)/(1 + lambda)."""

    def __init__(self, scale: float, multiple: int, schedule: str, floor: float) -> None:
        super().__init__(scale)
        self.multiple = multiple
        self.annealing = Annealing(schedule, floor)

    def begin(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Count the batch."""
        self.annealing.advance()

    def mixed(self, cos_y_B: Tensor) -> Tensor:
        """Target cosine (B,) after margin and annealing."""
        weight = self.annealing.weight()
        return (weight * cos_y_B + psi(cos_y_B, self.multiple)) / (1.0 + weight)


class LSoftmax(_Annealed):
    """Multiplied target angle over inner products (Liu et al. 2016, Large-Margin Softmax, eq. 4).

    The logits grow with the lengths, so that training does not start under the full margin:
    lambda falls from 893 to a floor, and the floor stays.

    Formula:
        z_y = s |W_y| |x| (lambda c_y + psi(theta_y)) / (1 + lambda); z_j = s |W_j| |x| c_j;
        psi(theta) = (-1)^k cos(m theta) - 2k, k = floor(m theta/pi), at most m - 1;
        lambda = max(floor, schedule(batch))

    Others differ:
        pytorch-metric-learning: s = 1, no annealing (schedule = constant, lambda_floor = 0).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"norms", "weight_norms"})
    shardable: ClassVar[bool] = False
    plain_negatives: ClassVar[bool] = False

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * lengths(seen) * self.mixed(cos_y_B)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of the other classes."""
        rows_B = self.scale * checked(seen.norms_B)
        return products(cos_BJ, rows_B, checked(seen.weight_norms_C))


class ASoftmax(_Annealed):
    """L-Softmax with centres of length 1 (Liu et al. 2017, SphereFace eq. 7).

    Formula:
        z_y = s |x| (lambda c_y + psi(theta_y)) / (1 + lambda); z_j = s |x| c_j;
        lambda = max(5, 1000 / (1 + 0.12 batch)); normalised = true: |x| left out, s = 32

    Others differ:
        SV-X-Softmax and the released code of Search-Softmax: normalised, s = 32, and
        lambda = max(5, 1000 (1 + 1e-4 batch)^-2) (schedule = sv-x). pytorch-metric-learning:
        s = 1, no annealing (schedule = constant, lambda_floor = 0).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"norms"})
    shardable: ClassVar[bool] = False
    plain_negatives: ClassVar[bool] = False

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * checked(seen.norms_B) * self.mixed(cos_y_B)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of the other classes."""
        return products(cos_BJ, self.scale * checked(seen.norms_B), None)


class NormalisedASoftmax(_Annealed):
    """A-Softmax over s * cos: the option normalised."""

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * self.mixed(cos_y_B)


class SphereFaceR(ClassifierLoss):
    """Multiplied target angle, any real m, over s * cos (Liu et al. 2022, SphereFace Revived).

    The gradient is detached by definition: that of the plain cosine.

    Formula:
        z_y = s psi(theta_y), psi(theta) = (-1)^k cos(m theta) - 2k, k = floor(m theta/pi);
        z_j = s c_j

    Others differ:
        OpenSphere: s = 30, m between 1.4 and 1.7 by data set.
    """

    def __init__(self, scale: float, multiple: float) -> None:
        super().__init__(scale)
        self.multiple = multiple

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * detached(psi_of_real_multiple(cos_y_B, self.multiple), cos_y_B)


def _l_softmax(given: Given) -> ClassifierLoss:
    return LSoftmax(given.scale, *_annealed(given))


def _a_softmax(given: Given) -> ClassifierLoss:
    loss = NormalisedASoftmax if given.flag("normalised") else ASoftmax
    return loss(given.scale, *_annealed(given))


def _annealed(given: Given) -> tuple[int, str, float]:
    return given.whole("multiple"), given.text("schedule"), given.number("lambda_floor")


def _sphereface_r(given: Given) -> ClassifierLoss:
    return SphereFaceR(given.scale, given.number("multiple"))


_OPTIONS: dict[str, Option] = {
    "multiple": Number(default=4, low=1, high=8, whole=True, doc="m, factor on the angle"),
    "schedule": Choice(
        default="sphereface",
        names=tuple(SCHEDULES),
        doc="lambda by batch, from 1: sphereface 1000/(1 + 0.12 batch), sv-x "
        "1000 (1 + 1e-4 batch)^-2, constant the floor",
    ),
    "lambda_floor": Number(
        default=5.0, low=0.0, high=1e6, doc="least lambda; 0: the full margin in the end"
    ),
}

SPECS: dict[str, LossSpec] = {
    "l_softmax": LossSpec(loss=LSoftmax, make=_l_softmax, scale=1.0, options=_OPTIONS),
    "a_softmax": LossSpec(
        loss=ASoftmax,
        make=_a_softmax,
        scale=None,
        scale_of=raw_or_normalised_scale,
        options={**_OPTIONS, "normalised": NORMALISED},
        neutral={"multiple": 1, "normalised": True},
    ),
    "sphereface_r": LossSpec(
        loss=SphereFaceR,
        make=_sphereface_r,
        scale=30.0,
        options={"multiple": Number(default=1.7, low=1.0, high=8.0, doc="m, factor on the angle")},
        neutral={"multiple": 1.0},
        exact_gradient=False,
    ),
}
