"""SphereFace2: one binary classification a class, all with one learned bias.

A sum of softplus over the classes instead of a log-sum-exp; uniface.py holds its relatives.
Shapes: B batch, J a piece of the classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lfs_ray.losses.contract import ClassifierLoss, Seen, softplus
from lfs_ray.losses.margin import GRADS
from lfs_ray.losses.options import Choice, Number
from lfs_ray.losses.spec import Given, LossSpec


def initial_bias(scale: float, margin: float, power: float, alpha: float, classes: int) -> float:
    """The bias at which the loss of orthogonal embeddings and centres is least in b.

    Args:
        scale: r.
        margin: m, cosine units.
        power: t of g.
        alpha: weight of the positive, in (0, 1).
        classes: C >= 2.
    """
    z = alpha / ((1.0 - alpha) * (classes - 1))
    middle = 2.0 * math.pow(0.5, power) - 1.0
    root = math.sqrt((1.0 - z) ** 2 + 4.0 * z * math.exp(-2.0 * scale * margin))
    # 1 - z + root, in the form that doesn't cancel where z > 1 (few classes).
    total = 1.0 - z + root
    if z > 1.0:
        total = 4.0 * z * math.exp(-2.0 * scale * margin) / (z - 1.0 + root)
    return math.log(2.0 * z) - scale * (middle + margin) - math.log(total)


class SphereFace2(ClassifierLoss):
    """Binary classifications, one a class (Wen et al. 2022, SphereFace2 eq. 7, type C).

    The bias b is learned; it starts where the loss of orthogonal embeddings is least. g counts as
    a shift of the cosine to the gradient (slope 1), by definition: grad="exact" differentiates it.

    Formula:
        g(c) = 2 ((c + 1) / 2)^t - 1
        L = (w / r) (alpha softplus(-(r (g(c_y) - m) + b))
                     + (1 - alpha) sum over j != y of softplus(r (g(c_j) + m) + b))

    Others differ:
        OpenSphere, the authors' code: the same; its types A and M place the margin on the angle.
    """

    plain_negatives = False
    sums = "softplus"

    def __init__(
        self,
        scale: float,
        margin: float,
        power: float,
        weights: tuple[float, float],
        *,
        exact: bool,
        bias: float,
    ) -> None:
        super().__init__(scale)
        self.margin = margin
        self.power = power
        self.alpha, self.total_weight = weights
        self.exact = exact
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float64))

    def adjusted(self, cos: Tensor) -> Tensor:
        """g(c), of cos's shape; a new tensor."""
        half = (cos + 1.0).mul_(0.5).clamp_min_(0.0)
        return half.pow_(self.power).mul_(2.0).sub_(1.0)

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        if self.exact:
            g_B = 2.0 * ((cos_y_B + 1.0) / 2.0).clamp_min(0.0) ** self.power - 1.0
        else:
            g_B = cos_y_B + (self.adjusted(cos_y_B.detach()) - cos_y_B.detach())
        return self.scale * (g_B - self.margin) + self.bias.to(cos_y_B.dtype)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes, without the bias."""
        return self.adjusted(cos_BJ).add_(self.margin).mul_(self.scale)

    def slopes(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Slope (B, J) of each logit: r, or r g'(c)."""
        if not self.exact:
            return torch.full_like(cos_BJ, self.scale)
        half_BJ = (cos_BJ + 1.0).mul_(0.5).clamp_min_(0.0)
        return half_BJ.pow_(self.power - 1.0).mul_(self.scale * self.power)

    def offset(self) -> Tensor:
        """The bias, added to every negative's logit."""
        return self.bias

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit and the sum of the negatives' softplus, both (B,)."""
        both_B = self.alpha * softplus(-target_B) + (1.0 - self.alpha) * others_B
        return self.total_weight / self.scale * both_B


def _sphereface2(given: Given) -> ClassifierLoss:
    margin, power, alpha = (given.number(name) for name in ("margin", "power", "alpha"))
    return SphereFace2(
        given.scale,
        margin,
        power,
        (alpha, given.number("weight")),
        exact=given.text("grad") == "exact",
        bias=initial_bias(given.scale, margin, power, alpha, given.sized().num_classes),
    )


SPECS: dict[str, LossSpec] = {
    "sphereface2": LossSpec(
        loss=SphereFace2,
        make=_sphereface2,
        scale=40.0,
        options={
            "margin": Number(
                default=0.4, low=0.0, high=2.0, open_high=True, doc="m, cosine units"
            ),
            "power": Number(default=3.0, low=1.0, high=20.0, doc="t, the power in g"),
            "alpha": Number(
                default=0.7,
                low=0.0,
                high=1.0,
                open_low=True,
                open_high=True,
                doc="weight of the positive; that of the negatives is 1 - alpha",
            ),
            "weight": Number(
                default=50.0, low=0.0, high=1e6, open_low=True, doc="w, factor on the loss"
            ),
            "grad": Choice(
                default="detached", names=GRADS, doc="whether g is differentiated (exact) or not"
            ),
        },
        sized=True,
        exact_gradient=False,
    ),
}
