"""TaylorGLO: a cubic polynomial of target and probability, summed over the classes.

A searched loss. Between the cosine classifier and the optimizer. Shapes: B batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.spec import Given, LossSpec
from lfs_ray.losses.split import Negatives, split


class Taylor(ClassifierLoss):
    """Cubic polynomial of target and probability (Gonzalez and Miikkulainen 2021, TaylorGLO).

    t_j is 1 for the target and 0 for the others. The negatives enter by the sums of p_j and of
    p_j^2, so all of them are gone over twice. The factor 1/C is the publication's: at many classes
    the gradient is small, and the learning rate has to make up for it. The value may be negative,
    so there is no focal factor on top. No theta makes it NormFace.

    Formula:
        z_j = s c_j; p = softmax(z)
        L = -(1/C) sum over j of f(t_j, p_j), with u = t - c1, v = p - c0:
        f = c2 u + c3/2 u^2 + c4/6 u^3 + c5 u v + c6/2 u^2 v + c7/2 u v^2

    Others differ:
        Decadz' code has c0 in the last factor, where the publication has c1.
    """

    shardable = False

    def __init__(self, scale: float, coefficients: Sequence[float], num_classes: int) -> None:
        super().__init__(scale)
        self.coefficients = tuple(coefficients)
        self.num_classes = num_classes

    def _split(
        self, cos_BC: Tensor, cos_y_B: Tensor, labels_B: Tensor, seen: Seen
    ) -> tuple[Tensor, Tensor]:
        """The target cosine (B,) and ln sum exp(z_j), ln sum exp(2 z_j) over the negatives."""
        cos_y_B, once_B = split(cos_BC, labels_B, Negatives(scale=self.scale))
        _, twice_B = split(cos_BC, labels_B, Negatives(scale=2.0 * self.scale))
        return cos_y_B, torch.stack([once_B, twice_B], dim=1)

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit (B,) and both log-sum-exps (B, 2)."""
        once_B, twice_B = others_B.unbind(dim=1)
        log_total_B = torch.logaddexp(target_B, once_B)
        p_y_B, missed_B = (target_B - log_total_B).exp(), (once_B - log_total_B).exp()
        squares_B = (twice_B - 2.0 * log_total_B).exp()
        number = self.num_classes - 1
        sums_B = self.own(p_y_B) + self.others(number, missed_B, squares_B)
        return -sums_B / self.num_classes

    def own(self, p_y_B: Tensor) -> Tensor:
        """Polynomial f (B,) of the target class."""
        constant, line, square = self._in_p(1.0 - self.coefficients[1])
        v_B = p_y_B - self.coefficients[0]
        return constant + (line + square * v_B) * v_B

    def others(self, number: int, p_B: Tensor, squares_B: Tensor) -> Tensor:
        """Sum (B,) of f over the negatives, from the sums of p and of p^2."""
        constant, line, square = self._in_p(-self.coefficients[1])
        c0 = self.coefficients[0]
        v_B = p_B - number * c0
        v_squares_B = squares_B - 2.0 * c0 * p_B + number * c0 * c0
        return number * constant + line * v_B + square * v_squares_B

    def _in_p(self, u: float) -> tuple[float, float, float]:
        """Polynomial f at t - c1 = u as constant, line and square of v = p - c0."""
        _, _, c2, c3, c4, c5, c6, c7 = self.coefficients
        constant = c2 * u + c3 / 2.0 * u**2 + c4 / 6.0 * u**3
        return constant, c5 * u + c6 / 2.0 * u**2, c7 / 2.0 * u


def _taylor(given: Given) -> ClassifierLoss:
    for number in given.theta:
        if not math.isfinite(number):
            raise ConfigError(
                f"theta of space 'taylor' must be finite, found {number}: correct theta"
            )
    return Taylor(given.scale, given.theta, given.sized().num_classes)


SPECS: dict[str, LossSpec] = {
    "taylor": LossSpec(
        loss=Taylor,
        make=_taylor,
        scale=32.0,
        spaces=("taylor",),
        theta_size=lambda space, options: 8,
        sized=True,
        focal=False,
    ),
}
