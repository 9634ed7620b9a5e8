"""The ways to write the searched number, by name: shift, bounds and defaults of each.

Place in the data flow: a table that `space.SearchSpace` reads. The losses hold the same names with
the same shifts (delta = ln(1 - a), by which the target logit is lowered); a test compares them.

    name              theta              a
    margin (default)  clip(draw)         1 - exp(scale theta)
    raw               -abs(draw)         theta, as in the text of the paper
    log               clip(draw)         -exp(theta)
    released-global   -abs(draw)         theta exp(scale / 3), as in the released code
    released-local    -abs(draw)         theta exp(scale / 2), ten bins, as in the released code

The paper is Wang et al., Loss Function Search for Face Recognition, ICML 2020 (arXiv 2007.06542).
A normal distribution over `a` itself covers its five orders of magnitude badly, and folded at 0 it
cannot express "smaller than that"; a margin can, and it means the same at every scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_LOG = math.log(1e-3)
"""Least rho of `log`: a = -0.001 is plain softmax for all purposes, and so is all below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """Where a search starts and how it moves, in units of the draw."""

    start: float
    sigma: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceForm:
    """What the spaces of one name share, whatever their size, scale and upper margin."""

    symbol: str
    """Name of the number, used in column names."""
    unit: str
    """Unit of draw and theta."""
    folded: bool
    """Theta is -abs(draw); otherwise the draw, clipped to the bounds."""
    shift: Callable[[Floats, float], Floats]
    """(theta, scale) -> delta = ln(1 - a) >= 0, of theta's shape."""
    bounds: Callable[[float, float], tuple[float, float]]
    """(scale, upper margin) -> least and greatest theta."""
    defaults: Callable[[float], Defaults]
    """Scale -> start, sigma and learning rate."""
    size: int | None = None
    """The size this name demands; None: any."""


def _shift_of_margin(theta: Floats, scale: float) -> Floats:
    return theta * scale


def _shift_of_raw(theta: Floats, scale: float) -> Floats:
    return np.log1p(-theta)


def _shift_of_log(theta: Floats, scale: float) -> Floats:
    return np.logaddexp(0.0, theta)


def _shift_of_released_global(theta: Floats, scale: float) -> Floats:
    return np.log1p(-theta * math.exp(scale / 3.0))


def _shift_of_released_local(theta: Floats, scale: float) -> Floats:
    return np.log1p(-theta * math.exp(scale / 2.0))


def log_of_margin(margin: float, scale: float) -> float:
    """The rho of a margin, ln(exp(scale margin) - 1): inverse of softplus, without overflow."""
    shift = scale * margin
    return shift + math.log(-math.expm1(-shift))


def _bounds_of_margin(scale: float, upper: float) -> tuple[float, float]:
    return 0.0, upper


def _bounds_of_folded(scale: float, upper: float) -> tuple[float, float]:
    return -math.inf, 0.0


def _bounds_of_log(scale: float, upper: float) -> tuple[float, float]:
    return LEAST_LOG, log_of_margin(upper, scale)


def _defaults_of_margin(scale: float) -> Defaults:
    """Start low, where any network trains; sigma and rate by simulation, 2,000 searches each.

    Reward -(m - 0.4)^2 with noise 0.002 | a tenth of it with noise 0.004; four members; success:
    the policy's mean over the last third of the rounds is within 0.05 of 0.4. Percent of searches:

        sigma, rate              0.1, .02   0.1, .03   0.2, .05 (the paper's, for its own number)
        60 rounds from 0.1       100 | 93   100 | 89    90 | 83
        60 rounds from 0.7       100 | 93   100 | 89    90 | 83
        24 rounds from 0.05       95 | 33    97 | 77    75 | 69
        16 rounds from 0.05        1 |  0    95 | 46    68 | 65

    The smaller rate settles a little better and cannot arrive in the rounds of a usual training.
    """
    return Defaults(start=0.05, sigma=0.1, learning_rate=0.03)


def _defaults_of_log(scale: float) -> Defaults:
    """Those of `margin`: where -a is large, rho is the margin times the scale."""
    like = _defaults_of_margin(scale)
    return Defaults(
        start=log_of_margin(like.start, scale),
        sigma=like.sigma * scale,
        learning_rate=like.learning_rate * scale,
    )


def _defaults_of_raw(scale: float) -> Defaults:
    """Sigma and learning rate of the paper; its first fixed a after 0 (Table 3) as the start."""
    return Defaults(start=-1.0, sigma=0.2, learning_rate=0.05)


def _defaults_of_released(scale: float) -> Defaults:
    """Sigma and learning rate of the paper, and a start one sigma from 0.

    The released code starts at 0, where -abs(draw) is symmetric: there the mean gradient is zero.
    """
    return Defaults(start=-0.2, sigma=0.2, learning_rate=0.05)


SPACES: dict[str, SpaceForm] = {
    "margin": SpaceForm(
        symbol="margin",
        unit="cosine",
        folded=False,
        shift=_shift_of_margin,
        bounds=_bounds_of_margin,
        defaults=_defaults_of_margin,
    ),
    "raw": SpaceForm(
        symbol="a",
        unit="a",
        folded=True,
        shift=_shift_of_raw,
        bounds=_bounds_of_folded,
        defaults=_defaults_of_raw,
    ),
    "log": SpaceForm(
        symbol="rho",
        unit="ln(-a)",
        folded=False,
        shift=_shift_of_log,
        bounds=_bounds_of_log,
        defaults=_defaults_of_log,
    ),
    "released-global": SpaceForm(
        symbol="a_raw",
        unit="a / exp(scale / 3)",
        folded=True,
        shift=_shift_of_released_global,
        bounds=_bounds_of_folded,
        defaults=_defaults_of_released,
        size=1,
    ),
    "released-local": SpaceForm(
        symbol="a_raw",
        unit="a / exp(scale / 2)",
        folded=True,
        shift=_shift_of_released_local,
        bounds=_bounds_of_folded,
        defaults=_defaults_of_released,
        size=10,
    ),
}
