"""The searched losses as the released code computes them, so that its behaviour can be measured.

softmax, ratio, logarithm in the dtype of the cosines (at least float32): equal to searched.py's
log-domain form in exact arithmetic, infinite with NaN gradients once the target probability
underflows, and short of digits where it is near 1. Shapes: B batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.options import Switch

PROBABILITY_SPACE = Switch(
    default=False,
    doc="softmax, ratio, logarithm as in the released code, to measure how that overflows",
)


class ProbabilitySpace(ClassifierLoss):
    """L = -ln(p / (a p + 1 - a)), a by the bin of p (released code of Search-Softmax).

    Args:
        scale: s.
        shifts: ln(1 - a), one for all samples, or one for each equal bin of p.
    """

    shardable = False
    a: Tensor
    edges: Tensor

    def __init__(self, scale: float, shifts: Sequence[float]) -> None:
        super().__init__(scale)
        bins = len(shifts)
        a = [-math.expm1(shift) if shift < 709.0 else -math.inf for shift in shifts]
        edges = [(j + 1) / bins for j in range(bins - 1)]
        for name, values in (("a", a), ("edges", edges)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def _split(
        self, cos_BC: Tensor, cos_y_B: Tensor, labels_B: Tensor, seen: Seen
    ) -> tuple[Tensor, Tensor]:
        """The target cosine and the target probability, both (B,)."""
        p_BC = torch.softmax(self.scale * cos_BC, dim=1)
        return cos_y_B, p_BC.gather(1, labels_B.unsqueeze(1)).squeeze(1)

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target probability (B,), which `_split` passes on as `others_B`."""
        p_B = others_B
        bins_B = torch.bucketize(p_B.detach(), self.edges.to(p_B.dtype))
        a_B = self.a.to(p_B.dtype)[bins_B]
        return -(p_B / (a_B * p_B + 1.0 - a_B)).log()
