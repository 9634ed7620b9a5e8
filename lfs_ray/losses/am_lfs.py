"""AM-LFS: piecewise linear functions of the target cosine and of the target probability.

A searched loss (Li et al., ICCV 2019); `lines` turns theta into slopes and intercepts. Everything
is in the log domain, so that the identity is plain softmax to rounding. Shapes: B batch, M bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss, Seen, softplus
from lfs_ray.losses.options import Choice, Number, Value
from lfs_ray.losses.spec import Given, LossSpec

CLAMPS = ("relative", "absolute", "tau-off")
LEAST_TAU = 1e-12
"""Floor of tau under the clamp `absolute`."""

Lines = tuple[float, ...]
"""2 M numbers: slopes, then intercepts, one of each a bin."""


def lines(theta: Sequence[float], space: str) -> tuple[Lines, Lines]:
    """Slopes and intercepts of t and of tau.

    Args:
        theta: [a^t; b^t; a^tau; b^tau] in space "piecewise"; slopes alone, [a^t; a^tau], in the
            other two, whose intercepts make the functions continuous, t(-1) = -1 and tau(0) = 0.
        space: "piecewise", "piecewise-continuous" or "piecewise-monotone" (slopes >= 0).

    Raises:
        ConfigError: a number isn't finite, or a slope negative in "piecewise-monotone".
    """
    lowest = 0.0 if space == "piecewise-monotone" else -math.inf
    for number in theta:
        if not (math.isfinite(number) and number >= lowest):
            wanted = "finite and >= 0" if lowest == 0.0 else "finite"
            raise ConfigError(
                f"theta of space '{space}' must be {wanted}, found {number}: correct theta"
            )
    half = len(theta) // 2
    of_t, of_tau = tuple(theta[:half]), tuple(theta[half:])
    if space == "piecewise":
        return of_t, of_tau
    return _continued(of_t, -1.0, 1.0), _continued(of_tau, 0.0, 1.0)


def _continued(slopes: Sequence[float], low: float, high: float) -> Lines:
    """Slopes and the intercepts of a continuous function of [low, high] that maps low to low."""
    intercepts = [low - slopes[0] * low]
    for i in range(1, len(slopes)):
        edge = low + (high - low) * i / len(slopes)
        intercepts.append(intercepts[-1] + (slopes[i - 1] - slopes[i]) * edge)
    return (*slopes, *intercepts)


class _Piecewise(torch.nn.Module):
    """Slope and intercept by the bin of a value: M equal bins of [low, high], closed on the left.

    The outer bins go on beyond the ends. Numbers are theta's, not state.
    """

    lines_2M: Tensor
    edges: Tensor

    def __init__(self, given: Lines, low: float, high: float) -> None:
        super().__init__()
        bins = len(given) // 2
        edges = [low + (high - low) * i / bins for i in range(1, bins)]
        self.register_buffer(
            "lines_2M", torch.tensor(given, dtype=torch.float64), persistent=False
        )
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.float64), persistent=False)

    def at(self, x_B: Tensor) -> tuple[Tensor, Tensor]:
        """Slope and intercept (B,) at x; no gradient flows through the choice."""
        x_B = x_B.detach()
        bins_B = torch.bucketize(x_B, self.edges.to(x_B.dtype), right=True)
        slopes_M, intercepts_M = self.lines_2M.to(x_B.dtype).chunk(2)
        return slopes_M[bins_B], intercepts_M[bins_B]


class AmLfs(ClassifierLoss):
    """Piecewise linear t on the cosine, tau on the probability (Li et al. 2019, AM-LFS, eq. 8-13).

    t acts on the target cosine in [-1, 1], tau on the target probability p after t in [0, 1],
    each linear in M equal bins that are closed on the left. Slopes 1 and intercepts 0 are
    NormFace, intercepts -m of t AM-Softmax. tau can be negative, hence the clamp: `relative`, tau
    >= kappa p, never hides a sample, and keeps softmax's gradient where it holds; `absolute`,
    tau >= 1e-12, caps the loss at 27.6 and takes the gradient from the hardest samples, at the
    identity too; `tau-off` leaves tau out. A positive intercept b in tau's first bin caps the loss
    at -ln b whatever the clamp: that is a property of the space. Where tau exceeds 1 the loss is
    negative, and a focal factor on top counts p as 1.

    Formula:
        z_y = s t(c_y), t(c) = a_i c + b_i in bin i; z_j = s c_j
        L = -ln tau(p), p = exp(z_y) / sum over k of exp(z_k), tau(p) = a_i p + b_i in bin i

    Others differ:
        The paper's logits carry the lengths of embedding and centre; here both are normalised, as
        in its face experiments. Its clamp isn't stated. GuHongyang's reproduction is `tau-off`
        on bare cosines (s = 1).
    """

    def __init__(self, scale: float, of_t: Lines, of_tau: Lines, clamp: str, kappa: float) -> None:
        super().__init__(scale)
        self.t = _Piecewise(of_t, -1.0, 1.0)
        self.tau = _Piecewise(of_tau, 0.0, 1.0)
        self.clamp = clamp
        self.log_kappa = math.log(kappa)

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        slope_B, intercept_B = self.t.at(cos_y_B)
        f_B = slope_B * cos_y_B + intercept_B
        return self.scale * f_B

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit and the log-sum-exp of the negatives, both (B,)."""
        log_p_B = -softplus(others_B - target_B)
        if self.clamp == "tau-off":
            return -log_p_B
        log_tau_B = log_line(log_p_B, *self.tau.at(log_p_B.exp()))
        if self.clamp == "absolute":
            return -log_tau_B.clamp_min(math.log(LEAST_TAU))
        return -torch.maximum(log_tau_B, log_p_B + self.log_kappa)


def log_line(log_p_B: Tensor, slope_B: Tensor, intercept_B: Tensor) -> Tensor:
    """ln(a p + b) from ln p, -inf (without gradient) where that isn't positive; all (B,).

    A line through 0 never leaves the log domain. For others p is taken from the end that is
    near: a p + b below 1/2, a + b - a (1 - p) above.
    """
    p_B = log_p_B.exp()
    lost_B = slope_B * torch.expm1(log_p_B)
    end_B = slope_B + intercept_B
    ray_B = intercept_B == 0.0
    near_B = ~ray_B & (p_B > 0.5) & (end_B > 0.0)
    tau_B = torch.where(near_B, end_B + lost_B, slope_B * p_B + intercept_B)
    positive_B = torch.where(ray_B, slope_B, tau_B) > 0.0
    # What a `where` discards must be finite too, or its gradient is NaN.
    safe_end_B = torch.where(near_B, end_B, 1.0)
    missing_B = torch.where(near_B & positive_B, lost_B / safe_end_B, 0.0)
    of_near_B = safe_end_B.log() + torch.log1p(missing_B)
    of_ray_B = log_p_B + torch.where(ray_B & positive_B, slope_B, 1.0).log()
    of_far_B = torch.where(~ray_B & ~near_B & positive_B, tau_B, 1.0).log()
    log_B = torch.where(ray_B, of_ray_B, torch.where(near_B, of_near_B, of_far_B))
    return torch.where(positive_B, log_B, -torch.inf)


def _theta_size(space: str, options: Mapping[str, Value]) -> int:
    return (4 if space == "piecewise" else 2) * int(options["bins"])


def _am_lfs(given: Given) -> ClassifierLoss:
    of_t, of_tau = lines(given.theta, given.space)
    return AmLfs(given.scale, of_t, of_tau, given.text("clamp"), given.number("kappa"))


SPECS: dict[str, LossSpec] = {
    "am_lfs": LossSpec(
        loss=AmLfs,
        make=_am_lfs,
        scale=32.0,
        options={
            "bins": Number(default=6, low=1, high=100, whole=True, doc="M, bins of t and of tau"),
            "clamp": Choice(
                default="relative",
                names=CLAMPS,
                doc="tau at least kappa p (relative), at least 1e-12 (absolute), or left out",
            ),
            "kappa": Number(
                default=1e-6,
                low=0.0,
                high=1.0,
                open_low=True,
                open_high=True,
                doc="least tau / p under clamp relative",
            ),
        },
        neutral={},
        neutral_theta=(*(1.0,) * 6, *(0.0,) * 6, *(1.0,) * 6, *(0.0,) * 6),
        theta_size=_theta_size,
        spaces=("piecewise", "piecewise-continuous", "piecewise-monotone"),
    ),
}
