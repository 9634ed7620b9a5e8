"""Sub-center ArcFace: several centres a class, of which the nearest one counts.

The classifier holds the centres and takes the maximum; the loss says how many. Shapes: B batch.
"""

from __future__ import annotations

import math

from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.margin import GRAD, RULE, ArcFace
from lfs_ray.losses.options import Number
from lfs_ray.losses.spec import Given, LossSpec


class SubCenterArcFace(ArcFace):
    """ArcFace with K centres a class (Deng et al. 2020, Sub-center ArcFace eq. 3).

    Wrongly labelled and rare faces gather around minor centres. Centres that no sample is nearest
    to drift under weight decay, and many of them can collapse: the paper has 67.84 % on IJB-C at
    K = 10 against 93.72 % at K = 3.

    Formula:
        c_j = max_k cos(theta_jk), k = 1 ... K; then z_y = s cos(theta_y + m), z_j = s c_j

    Others differ:
        The paper later drops samples with theta_y above 75 degrees and the minor centres, and
        trains once more with K = 1. pytorch-metric-learning: margin in degrees (28.6, which is
        0.49917 rad).
    """

    def __init__(
        self, scale: float, margin_rad: float, rule: str, grad: str, sub_centers: int
    ) -> None:
        super().__init__(scale, margin_rad, rule, grad)
        self.sub_centers = sub_centers


def _sub_center_arcface(given: Given) -> ClassifierLoss:
    margin_rad, sub_centers = given.number("margin"), given.whole("sub_centers")
    return SubCenterArcFace(
        given.scale, margin_rad, given.text("rule"), given.text("grad"), sub_centers
    )


SPECS: dict[str, LossSpec] = {
    "sub_center_arcface": LossSpec(
        loss=SubCenterArcFace,
        make=_sub_center_arcface,
        scale=64.0,
        options={
            "margin": Number(default=0.5, low=0.0, high=math.pi, open_high=True, doc="m, radians"),
            "sub_centers": Number(default=3, low=1, high=32, whole=True, doc="K, centres a class"),
            "rule": RULE,
            "grad": GRAD,
        },
        neutral={"margin": 0.0},
    ),
}
