"""Losses that weigh every logit by its own cosine: ArcNegFace, Circle loss.

The weights are constants to the gradient, so it isn't the derivative of the value. Beside
hard_negatives.py, where a threshold decides. Shapes: B batch, J a piece of the classes.
"""

from __future__ import annotations

from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.hard_negatives import times_line
from lfs_ray.losses.margin import MARGIN_RAD, RULE, arc_target
from lfs_ray.losses.options import Number
from lfs_ray.losses.spec import Given, LossSpec


class ArcNegFace(ClassifierLoss):
    """ArcFace; negatives near the target's cosine weigh most (Liu et al. 2019, arXiv 1909.00632).

    The weights g are constants to the gradient. No parameters make it NormFace.

    Formula:
        f = cos(theta_y + m), by a rule where theta_y + m >= pi; z_y = s f
        g_j = alpha exp(-(c_j - f - mu)^2 / (2 sigma^2))
        z_j = s (g_j c_j + g_j - 1)

    Others differ:
        FaceX-Zoo: the same values (alpha 1.2, mu 0, sigma 1).
    """

    plain_negatives = False

    def __init__(
        self, scale: float, margin_rad: float, rule: str, bell: tuple[float, float, float]
    ) -> None:
        super().__init__(scale)
        self.margin_rad = margin_rad
        self.rule = rule
        self.height, self.centre, self.width = bell

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * arc_target(cos_y_B, self.margin_rad, self.rule)

    def weights(self, cos_BJ: Tensor, cos_y_B: Tensor) -> Tensor:
        """Weights g (B, J), a new tensor."""
        peak_B = arc_target(cos_y_B, self.margin_rad, self.rule) + self.centre
        square_BJ = (cos_BJ - peak_B.unsqueeze(1)).square_()
        return square_BJ.mul_(-0.5 / self.width**2).exp_().mul_(self.height)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes."""
        weights_BJ = self.weights(cos_BJ, cos_y_B)
        return weights_BJ.addcmul_(weights_BJ, cos_BJ).sub_(1.0).mul_(self.scale)

    def slopes(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Slope (B, J) of each logit, weights held fixed."""
        return self.weights(cos_BJ, cos_y_B).mul_(self.scale)


class Circle(ClassifierLoss):
    """Circle loss over classes (Sun et al. 2020, Circle loss, eq. 4-8 with class labels).

    Each logit is weighed by how far its cosine is from its optimum, 1 + m or -m; the brackets,
    cut off at 0, are constants to the gradient. The scale gamma is much larger than the s of other
    losses because the weights are small near the optimum.

    Formula:
        z_y = gamma [1 + m - c_y]+ (c_y - (1 - m))
        z_j = gamma [c_j + m]+ (c_j - m)

    Others differ:
        The pairwise form (pytorch-metric-learning's CircleLoss, gamma 80, m 0.4) compares
        embeddings with one another and has no class centres.
    """

    plain_negatives = False

    def __init__(self, scale: float, margin: float) -> None:
        super().__init__(scale)
        self.margin = margin

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        weight_B = (1.0 + self.margin - cos_y_B.detach()).clamp_min(0.0)
        return self.scale * weight_B * (cos_y_B - (1.0 - self.margin))

    def weights(self, cos_BJ: Tensor) -> Tensor:
        """Weights gamma [c + m]+ (B, J), a new tensor."""
        return (cos_BJ + self.margin).clamp_min_(0.0).mul_(self.scale)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes."""
        return times_line(self.weights(cos_BJ), cos_BJ, -self.margin, 1.0)

    def slopes(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Slope (B, J) of each logit, weights held fixed."""
        return self.weights(cos_BJ)


def _arcnegface(given: Given) -> ClassifierLoss:
    bell = given.number("alpha"), given.number("mu"), given.number("sigma")
    return ArcNegFace(given.scale, given.number("margin"), given.text("rule"), bell)


def _circle(given: Given) -> ClassifierLoss:
    return Circle(given.scale, given.number("margin"))


SPECS: dict[str, LossSpec] = {
    "arcnegface": LossSpec(
        loss=ArcNegFace,
        make=_arcnegface,
        scale=64.0,
        options={
            "margin": MARGIN_RAD,
            "rule": RULE,
            "alpha": Number(default=1.2, low=0.0, high=10.0, doc="greatest weight of a negative"),
            "mu": Number(default=0.0, low=-2.0, high=2.0, doc="where it is reached, above f"),
            "sigma": Number(
                default=1.0, low=0.0, high=100.0, open_low=True, doc="width, cosine units"
            ),
        },
        exact_gradient=False,
    ),
    "circle": LossSpec(
        loss=Circle,
        make=_circle,
        scale=256.0,
        options={
            "margin": Number(
                default=0.25, low=0.0, high=1.0, doc="m, cosine units; 0 is the strictest"
            )
        },
        exact_gradient=False,
    ),
}
