"""NPCFace: hard negatives are raised, and widen the margin of their own sample.

Needs a pass of its own over the negatives, for the mean of the hard cosines; what is hard stands
in hard_negatives.py. Shapes: B batch, J a piece of the classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.hard_negatives import hard, times_line
from lfs_ray.losses.margin import arc_target, cos_of_sum
from lfs_ray.losses.options import Number
from lfs_ray.losses.spec import Given, LossSpec


class NpcFace(ClassifierLoss):
    """Margins that grow with the hardness of a sample's negatives (Zeng et al. 2020, NPCFace).

    The mean counts as 0 where no negative is hard. It is a constant to the gradient, which
    therefore isn't the derivative of the value. k = 1, a = m0 = m1 = 0 is NormFace.

    Formula:
        hard, c_j > cos(theta_y + m): z_j = s (k c_j + a), else z_j = s c_j
        z_y = s cos(theta_y + m0 + m1 mean of the hard c_j) where c_y > 0, else s c_y

    Others differ:
        FaceX-Zoo's configuration: s = 32, m = 0.35.
    """

    plain_negatives = False
    has_statistics = True

    def __init__(
        self,
        scale: float,
        margin_rad: float,
        target_margins_rad: tuple[float, float],
        line: tuple[float, float],
    ) -> None:
        super().__init__(scale)
        self.margin_rad = margin_rad
        self.base_margin_rad, self.mean_margin_rad = target_margins_rad
        self.slope, self.intercept = line

    def threshold(self, cos_y_B: Tensor) -> Tensor:
        """Cosine (B,) above which a negative is hard."""
        return arc_target(cos_y_B, self.margin_rad, "plain")

    def statistics(self, cos_BJ: Tensor, cos_y_B: Tensor) -> Tensor:
        """Sum and number (B, 2) of the hard cosines of a piece of the negatives."""
        hard_BJ = hard(cos_BJ, self.threshold(cos_y_B))
        number_B = hard_BJ.sum(dim=1)
        return torch.stack([hard_BJ.mul_(cos_BJ).sum(dim=1), number_B], dim=1)

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        assert seen.statistics_BK is not None
        sum_B, number_B = seen.statistics_BK.unbind(dim=1)
        added_B = self.base_margin_rad + self.mean_margin_rad * sum_B / number_B.clamp_min(1.0)
        f_B = cos_of_sum(cos_y_B, added_B)
        return self.scale * torch.where(cos_y_B > 0.0, f_B, cos_y_B)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes: s (c + hard ((k - 1) c + a))."""
        hard_BJ = hard(cos_BJ, self.threshold(cos_y_B))
        raised_BJ = times_line(hard_BJ, cos_BJ, self.intercept, self.slope - 1.0)
        return raised_BJ.add_(cos_BJ).mul_(self.scale)

    def slopes(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Derivative (B, J) of each logit by its cosine."""
        hard_BJ = hard(cos_BJ, self.threshold(cos_y_B))
        return hard_BJ.mul_((self.slope - 1.0) * self.scale).add_(self.scale)


def _npcface(given: Given) -> ClassifierLoss:
    margins_rad = given.number("base_margin"), given.number("mean_margin")
    line = given.number("hard_slope"), given.number("hard_intercept")
    return NpcFace(given.scale, given.number("margin"), margins_rad, line)


SPECS: dict[str, LossSpec] = {
    "npcface": LossSpec(
        loss=NpcFace,
        make=_npcface,
        scale=64.0,
        options={
            "margin": Number(
                default=0.5,
                low=0.0,
                high=math.pi,
                open_high=True,
                doc="m, radians; decides which negatives are hard, nothing else",
            ),
            "base_margin": Number(
                default=0.4, low=0.0, high=math.pi, open_high=True, doc="m0, radians"
            ),
            "mean_margin": Number(
                default=0.2, low=0.0, high=math.pi, open_high=True, doc="m1, radians"
            ),
            "hard_slope": Number(default=1.1, low=0.0, high=10.0, doc="k, factor on hard cosines"),
            "hard_intercept": Number(default=0.2, low=0.0, high=10.0, doc="a, added to them"),
        },
        neutral={
            "base_margin": 0.0,
            "mean_margin": 0.0,
            "hard_slope": 1.0,
            "hard_intercept": 0.0,
        },
        exact_gradient=False,
    ),
}
