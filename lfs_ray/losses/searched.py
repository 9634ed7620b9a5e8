"""The losses that are searched: one shift for all, or one per bin of the target probability.

Search-Softmax (Wang et al. 2020, eq. 7-8): L = -ln(p / (a p + 1 - a)), a <= 0, computed as
cross-entropy with the target logit lowered by delta = ln(1 - a): the same number without a
division or the logarithm of a probability. spaces.py turns theta into delta. Shapes: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen, softplus
from lfs_ray.losses.probability_space import PROBABILITY_SPACE, ProbabilitySpace
from lfs_ray.losses.spaces import SPACES
from lfs_ray.losses.spec import Given, LossSpec

NUM_BINS = 10


class GlobalShift(ClassifierLoss):
    """One a for all (Wang et al. 2020, Search-Softmax eq. 7-8): AM-Softmax with m = delta / s.

    Formula:
        z_y = s c_y - ln(1 - a), a <= 0; z_j = s c_j

    Others differ:
        The released code divides by a p + 1 - a and takes the logarithm of the quotient, in
        float32, which underflows at large gaps (option `probability_space`); its factor on a is
        space "released-global".
    """

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__(scale)
        self.shift = shift

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * cos_y_B - self.shift


class LocalShift(ClassifierLoss):
    """Each sample's shift is that of the bin of its own p_y (released code of Search-Softmax).

    Formula:
        z_y = s c_y - ln(1 - a_k), k the bin of p_y; z_j = s c_j

    Others differ:
        The released code loops over samples and bins; its factor on a is space "released-local".

    p_y is the softmax probability of the target, without any shift. Ten equal bins of [0, 1]; a
    sample belongs to the first bin j with p_y <= (j + 1) / 10. No gradient flows through the
    choice of the bin. Shifts and edges are theta's, not state: they stay out of checkpoints.
    """

    shifts: Tensor
    edges: Tensor

    def __init__(self, scale: float, shifts: Sequence[float]) -> None:
        super().__init__(scale)
        edges = [(j + 1) / NUM_BINS for j in range(NUM_BINS - 1)]
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float64), persistent=False)
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.float64), persistent=False)

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit and the log-sum-exp of the negatives, both (B,)."""
        gap_B = others_B - target_B
        return softplus(gap_B + self.shift_of(gap_B.detach()))

    def shift_of(self, gap_B: Tensor) -> Tensor:
        """Shift (B,) of samples whose log-odds against the target, ln((1 - p)/p), are `gap_B`."""
        p_y_B = torch.sigmoid(-gap_B)
        bins_B = torch.bucketize(p_y_B, self.edges.to(p_y_B.dtype))
        return self.shifts.to(p_y_B.dtype)[bins_B]


def _global(given: Given) -> ClassifierLoss:
    shifts = SPACES[given.space](given.theta, given.scale)
    if given.flag("probability_space"):
        return ProbabilitySpace(given.scale, shifts)
    return GlobalShift(given.scale, shifts[0])


def _local(given: Given) -> ClassifierLoss:
    shifts = SPACES[given.space](given.theta, given.scale)
    if given.flag("probability_space"):
        return ProbabilitySpace(given.scale, shifts)
    return LocalShift(given.scale, shifts)


SPECS: dict[str, LossSpec] = {
    "global": LossSpec(
        loss=GlobalShift,
        make=_global,
        scale=32.0,
        options={"probability_space": PROBABILITY_SPACE},
        neutral={},
        neutral_theta=(0.0,),
        spaces=("margin", "raw", "log", "released-global"),
    ),
    "local": LossSpec(
        loss=LocalShift,
        make=_local,
        scale=32.0,
        options={"probability_space": PROBABILITY_SPACE},
        neutral={},
        neutral_theta=(0.0,) * NUM_BINS,
        spaces=("margin", "raw", "log", "released-local"),
    ),
}
