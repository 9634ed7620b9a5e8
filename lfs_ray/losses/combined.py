"""The combined margin: a factor on the target angle, a margin on it, a margin on its cosine.

Shapes: B batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.margin import GRAD, cos_of_sum, detached, safe_sin
from lfs_ray.losses.options import Number
from lfs_ray.losses.spec import Given, LossSpec


def combined_target(
    cos_y_B: Tensor, multiple: float, margin_rad: float, margin_cos: float
) -> Tensor:
    """Target cosine f = cos(m1 theta + m2) - m3 (Deng et al. 2019, ArcFace eq. 4), everywhere.

    Args:
        cos_y_B: target cosines (B,), fp32 or fp64.
        multiple: m1 > 0.
        margin_rad: m2 in [0, pi).
        margin_cos: m3 >= 0.

    Returns:
        (B,); the gradient is exact, and finite at cos = 1 and -1 too.
    """
    if multiple == 1.0:
        return cos_of_sum(cos_y_B, margin_rad) - margin_cos
    theta_B = torch.atan2(safe_sin(cos_y_B), cos_y_B)
    return torch.cos(multiple * theta_B + margin_rad) - margin_cos


class Combined(ClassifierLoss):
    """The margins of SphereFace, ArcFace and CosFace at once (Deng et al. 2019, ArcFace eq. 4).

    The curve is left as it is where m1 theta + m2 passes pi. (1, m, 0) is ArcFace with rule
    "plain", (1, 0, m) is AM-Softmax.

    Formula:
        z_y = s (cos(m1 theta_y + m2) - m3); z_j = s c_j

    Others differ:
        insightface's class ignores m1 and m2 where m3 > 0: its (1, 0.3, 0.2) is CosFace with
        m = 0.2, its (0.9, 0.4, 0.15) CosFace with m = 0.15. ArcFace's paper gives both settings,
        with s = 64, and means the formula.
    """

    def __init__(
        self, scale: float, multiple: float, margin_rad: float, margin_cos: float, grad: str
    ) -> None:
        super().__init__(scale)
        self.multiple = multiple
        self.margin_rad = margin_rad
        self.margin_cos = margin_cos
        self.grad = grad

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        f_B = combined_target(cos_y_B, self.multiple, self.margin_rad, self.margin_cos)
        return self.scale * (detached(f_B, cos_y_B) if self.grad == "detached" else f_B)


def _combined(given: Given) -> ClassifierLoss:
    m1, m2, m3 = (given.number(name) for name in ("m1", "m2", "m3"))
    return Combined(given.scale, m1, m2, m3, given.text("grad"))


SPECS: dict[str, LossSpec] = {
    "combined": LossSpec(
        loss=Combined,
        make=_combined,
        scale=64.0,
        options={
            "m1": Number(default=1.0, low=0.1, high=8.0, doc="factor on the angle"),
            "m2": Number(default=0.3, low=0.0, high=math.pi, open_high=True, doc="radians"),
            "m3": Number(default=0.2, low=0.0, high=2.0, open_high=True, doc="cosine units"),
            "grad": GRAD,
        },
        neutral={"m1": 1.0, "m2": 0.0, "m3": 0.0},
    ),
}
