"""The ways to write the searched a <= 0 of Search-Softmax: shift, bounds and defaults of each.

Place in the data flow: a part of `forms.SPACES`. The losses hold the same names with the same
shifts (delta = ln(1 - a), by which the target logit is lowered); a test compares them. One number
for loss `global`, one for each of ten bins of the target probability for loss `local`.

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

import numpy as np

from lfs_ray.search.form import Defaults, Floats, SpaceForm, Vector

LEAST_LOG = math.log(1e-3)
"""Least rho of `log`: a = -0.001 is plain softmax for all purposes, and so is all below it."""
BINS = 10
"""Bins of the target probability of loss `local`."""

Shift = Callable[[Floats, float], Floats]


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


def _margins(shift: Shift) -> Shift:
    """Equivalent margin delta / scale of every component, (B, D)."""
    return lambda theta_BD, scale: shift(theta_BD, scale) / scale


def log_of_margin(margin: float, scale: float) -> float:
    """The rho of a margin, ln(exp(scale margin) - 1): inverse of softplus, without overflow."""
    shift = scale * margin
    return shift + math.log(-math.expm1(-shift))


def _bounds_of_margin(size: int, scale: float, upper: float) -> tuple[Vector, Vector]:
    return (0.0,) * size, (upper,) * size


def _bounds_of_folded(size: int, scale: float, upper: float) -> tuple[Vector, Vector]:
    return (-math.inf,) * size, (0.0,) * size


def _bounds_of_log(size: int, scale: float, upper: float) -> tuple[Vector, Vector]:
    return (LEAST_LOG,) * size, (log_of_margin(upper, scale),) * size


def _defaults_of_margin(size: int, scale: float) -> Defaults:
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
    return Defaults.uniform(size, start=0.05, sigma=0.1, learning_rate=0.03)


def _defaults_of_log(size: int, scale: float) -> Defaults:
    """Those of `margin`: where -a is large, rho is the margin times the scale."""
    like = _defaults_of_margin(1, scale)
    return Defaults.uniform(
        size,
        start=log_of_margin(like.start[0], scale),
        sigma=like.sigma[0] * scale,
        learning_rate=like.learning_rate[0] * scale,
    )


def _defaults_of_raw(size: int, scale: float) -> Defaults:
    """Sigma and learning rate of the paper; its first fixed a after 0 (Table 3) as the start."""
    return Defaults.uniform(size, start=-1.0, sigma=0.2, learning_rate=0.05)


def _defaults_of_released(size: int, scale: float) -> Defaults:
    """Sigma and learning rate of the paper, and a start one sigma from 0.

    The released code starts at 0, where -abs(draw) is symmetric: there the mean gradient is zero.
    """
    return Defaults.uniform(size, start=-0.2, sigma=0.2, learning_rate=0.05)


SHIFT_FORMS: dict[str, SpaceForm] = {
    "margin": SpaceForm(
        symbols=("margin",),
        unit="cosine",
        losses={"global": 1, "local": BINS},
        margins=_margins(_shift_of_margin),
        bounds=_bounds_of_margin,
        defaults=_defaults_of_margin,
    ),
    "raw": SpaceForm(
        symbols=("a",),
        unit="a",
        losses={"global": 1, "local": BINS},
        folded=True,
        margins=_margins(_shift_of_raw),
        bounds=_bounds_of_folded,
        defaults=_defaults_of_raw,
    ),
    "log": SpaceForm(
        symbols=("rho",),
        unit="ln(-a)",
        losses={"global": 1, "local": BINS},
        margins=_margins(_shift_of_log),
        bounds=_bounds_of_log,
        defaults=_defaults_of_log,
    ),
    "released-global": SpaceForm(
        symbols=("a_raw",),
        unit="a / exp(scale / 3)",
        losses={"global": 1},
        folded=True,
        margins=_margins(_shift_of_released_global),
        bounds=_bounds_of_folded,
        defaults=_defaults_of_released,
        size=1,
    ),
    "released-local": SpaceForm(
        symbols=("a_raw",),
        unit="a / exp(scale / 2)",
        losses={"local": BINS},
        folded=True,
        margins=_margins(_shift_of_released_local),
        bounds=_bounds_of_folded,
        defaults=_defaults_of_released,
        size=BINS,
    ),
}
