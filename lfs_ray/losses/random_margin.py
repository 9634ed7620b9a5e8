"""A margin drawn anew for every sample, whose mean and deviation are searched.

ElasticFace with theta = (mean, standard deviation). Between the cosine classifier and the
optimizer. Shapes: B batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.margin import arc_target
from lfs_ray.losses.options import Choice, Switch
from lfs_ray.losses.spec import Given, LossSpec


class RandomMargin(ClassifierLoss):
    """Each sample's margin is drawn, its spread is searched (Boutros et al. 2022, ElasticFace).

    theta is mean and standard deviation of the normal distribution of margins: cosine units of
    kind "cos", radians of kind "arc". Draws come from torch's default generator, one a sample and
    batch, of any sign; `clip` holds them to mean +- deviation. (0, 0) is NormFace, (m, 0)
    AM-Softmax or ArcFace with rule "plain".

    Formula:
        m_i ~ N(mean, sd^2)
        z_y = s (c_y - m_i), or s cos(theta_y + m_i); z_j = s c_j

    Others differ:
        ElasticFace fixes mean and deviation (0.35 and 0.05 for cos, 0.5 and 0.05 for arc; its
        classes 0.0125) and s = 64.
    """

    def __init__(self, scale: float, mean: float, sd: float, kind: str, *, clip: bool) -> None:
        super().__init__(scale)
        self.mean = mean
        self.sd = sd
        self.kind = kind
        self.clip = clip

    def drawn(self, cos_y_B: Tensor) -> Tensor:
        """Margins (B,), one a sample."""
        units_B = torch.randn_like(cos_y_B, requires_grad=False)
        if self.clip:
            units_B = units_B.clamp(-1.0, 1.0)
        return self.mean + self.sd * units_B

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        margin_B = self.drawn(cos_y_B)
        if self.kind == "arc":
            return self.scale * arc_target(cos_y_B, margin_B, "plain")
        return self.scale * (cos_y_B - margin_B)


def checked(theta: Sequence[float]) -> tuple[float, float]:
    """Mean and deviation.

    Raises:
        ConfigError: one isn't finite, or the deviation is negative.
    """
    mean, sd = theta
    if not (math.isfinite(mean) and 0.0 <= sd < math.inf):
        raise ConfigError(
            "theta of space 'sample-margin' must be a finite mean and a finite deviation >= 0, "
            f"found {mean}, {sd}: correct theta"
        )
    return mean, sd


def _random_margin(given: Given) -> ClassifierLoss:
    mean, sd = checked(given.theta)
    return RandomMargin(given.scale, mean, sd, given.text("kind"), clip=given.flag("clip"))


SPECS: dict[str, LossSpec] = {
    "random_margin": LossSpec(
        loss=RandomMargin,
        make=_random_margin,
        scale=32.0,
        options={
            "kind": Choice(
                default="cos", names=("cos", "arc"), doc="margin on the cosine, or on the angle"
            ),
            "clip": Switch(default=False, doc="hold draws to mean +- deviation"),
        },
        neutral={},
        neutral_theta=(0.0, 0.0),
        spaces=("sample-margin",),
    ),
}
