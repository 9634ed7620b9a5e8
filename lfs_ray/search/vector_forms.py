"""Spaces of several unlike numbers: AM-LFS, per-sample margins, Taylor polynomials.

Place in the data flow: a part of `forms.SPACES`; the losses read theta in the order given here.

    name                  loss           theta
    piecewise             am_lfs         4 M: slopes and intercepts of t and of tau
    piecewise-continuous  am_lfs         2 M: slopes of t and of tau, any sign
    piecewise-monotone    am_lfs         2 M: the same, projected to slopes >= 0
    sample-margin         random_margin  mean and deviation of a margin drawn for each sample
    taylor                taylor         8: the polynomial of TaylorGLO

AM-LFS (Li et al., ICCV 2019, arXiv 1905.07375): t acts on the target cosine in [-1, 1], tau on the
probability in [0, 1], both linear within each of M equal bins (left-closed; the outer bins go on
beyond the ends): t(x) = a_i x + b_i. In `piecewise` slopes and intercepts are free, as published.
In the two continuous spaces the slopes are drawn and the intercepts follow, so that t(-1) = -1,
tau(0) = 0 and nothing jumps at an inner edge e_i (-1 + 2 i / M for t, i / M for tau):

    b_0 = a_0 - 1 for t, 0 for tau;    b_i = b_(i-1) + (a_(i-1) - a_i) e_i

All three start at the identity, which is plain softmax, with the published sigma 0.2, Adam 0.05.

ElasticFace (Boutros et al., CVPRW 2022) draws each sample's margin from a normal distribution;
its mean and deviation are what `sample-margin` searches.

TaylorGLO (Gonzalez and Miikkulainen, 2021, arXiv 2002.00059): the loss of n classes is
-(1/n) sum over the classes of, with target t in {0, 1} and probability p,

    c2 (t-c1) + c3/2 (t-c1)^2 + c4/6 (t-c1)^3
    + c5 (p-c0)(t-c1) + c6/2 (p-c0)(t-c1)^2 + c7/2 (p-c0)^2 (t-c1)

It starts at t times the second-order expansion of ln p at p = c0 = 1/2, with c1 = 0: c2 = ln c0,
c5 = 1/c0, c7 = -1/c0^2, the others 0: cross-entropy near p = 1/2, and falling in p up to p = 1.
"""

from __future__ import annotations

import math

from lfs_ray.search.form import Defaults, Floats, SpaceForm, Vector, no_margin

CENTRE = 0.5
"""Probability at which `taylor` expands cross-entropy."""
GREATEST_COEFFICIENT = 10.0
"""Of `taylor`: more than twice the greatest of its start, c7 = -4."""


def _free(size: int, scale: float, upper: float) -> tuple[Vector, Vector]:
    return (-math.inf,) * size, (math.inf,) * size


def _not_falling(size: int, scale: float, upper: float) -> tuple[Vector, Vector]:
    return (0.0,) * size, (math.inf,) * size


def _identity(size: int, scale: float) -> Defaults:
    """Slopes 1, intercepts 0."""
    bins = size // 4
    line = (1.0,) * bins + (0.0,) * bins
    return Defaults(start=line + line, sigma=(0.2,) * size, learning_rate=(0.05,) * size)


def _unit_slopes(size: int, scale: float) -> Defaults:
    return Defaults.uniform(size, start=1.0, sigma=0.2, learning_rate=0.05)


def _mean_alone(theta_BD: Floats, scale: float) -> Floats:
    """Equivalent margin (B, 1): the mean, which all samples get at deviation 0."""
    return theta_BD[:, :1]


def _bounds_of_sample_margin(size: int, scale: float, upper: float) -> tuple[Vector, Vector]:
    return (0.0, 0.0), (upper, upper / 2.0)


def _defaults_of_sample_margin(size: int, scale: float) -> Defaults:
    """The mean as in space `margin`; the deviation starts at ElasticFace's greatest, 0.05."""
    return Defaults(start=(0.05, 0.05), sigma=(0.1, 0.03), learning_rate=(0.03, 0.01))


def _bounds_of_taylor(size: int, scale: float, upper: float) -> tuple[Vector, Vector]:
    """c0 is a probability, c1 a target or its mirror image, the others finite."""
    most = (GREATEST_COEFFICIENT,) * 6
    return (0.0, -1.0, *(-x for x in most)), (1.0, 1.0, *most)


def _defaults_of_taylor(size: int, scale: float) -> Defaults:
    start = (CENTRE, 0.0, math.log(CENTRE), 0.0, 0.0, 1.0 / CENTRE, 0.0, -1.0 / CENTRE**2)
    sigma = (0.05, 0.05) + (0.2,) * 6
    return Defaults(
        start=start, sigma=sigma, learning_rate=tuple(deviation / 4.0 for deviation in sigma)
    )


VECTOR_FORMS: dict[str, SpaceForm] = {
    "piecewise": SpaceForm(
        symbols=("t_slope", "t_intercept", "tau_slope", "tau_intercept"),
        unit="slope, intercept",
        losses={"am_lfs": 4},
        per_bin=True,
        margins=no_margin,
        bounds=_free,
        defaults=_identity,
    ),
    "piecewise-continuous": SpaceForm(
        symbols=("t_slope", "tau_slope"),
        unit="slope",
        losses={"am_lfs": 2},
        per_bin=True,
        margins=no_margin,
        bounds=_free,
        defaults=_unit_slopes,
    ),
    "piecewise-monotone": SpaceForm(
        symbols=("t_slope", "tau_slope"),
        unit="slope >= 0",
        losses={"am_lfs": 2},
        per_bin=True,
        margins=no_margin,
        bounds=_not_falling,
        defaults=_unit_slopes,
    ),
    "sample-margin": SpaceForm(
        symbols=("margin_mean", "margin_sd"),
        unit="cosine, its deviation",
        losses={"random_margin": 2},
        margins=_mean_alone,
        bounds=_bounds_of_sample_margin,
        defaults=_defaults_of_sample_margin,
        size=2,
    ),
    "taylor": SpaceForm(
        symbols=("c",),
        unit="coefficient",
        losses={"taylor": 8},
        margins=no_margin,
        bounds=_bounds_of_taylor,
        defaults=_defaults_of_taylor,
        size=8,
    ),
}
