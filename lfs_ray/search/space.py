"""Search spaces: from the number a policy draws to the loss parameters (theta) a member trains with.

Place in the data flow: policy.sample -> draw -> `SearchSpace.project` -> theta -> the member's loss
(built in losses/, which maps the same theta to the same shift) and the trial table. Plain float64.

Every space searches one number a <= 0, or one per bin of the target probability. The loss is
cross-entropy with the target logit lowered by the shift delta = ln(1 - a), which for one a is exactly
CosFace with the margin delta / scale (Wang et al., ICML 2020, Eq. 7-8, in the log domain). Hence
every theta has an equivalent margin in cosine units, and that is what tables and plots show.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import ConfigError

Floats = NDArray[np.float64]

MAX_SCALE = 1000.0  # exp(scale / 2) of released-local stays finite far beyond any useful scale
DEFAULT_UPPER_MARGIN = 1.0
FREE = (-math.inf, math.inf)


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
    """name of the number, used in column names"""
    unit: str
    folded: bool
    """theta is -abs(draw), clipped otherwise"""
    shift: Callable[[Floats, float], Floats]
    """(theta, scale) -> delta = ln(1 - a) >= 0, same shape"""
    bounds: Callable[[float, float], tuple[float, float]]
    """(scale, upper margin) -> least and greatest theta"""
    defaults: Callable[[float], Defaults]
    """scale -> start, sigma and learning rate"""
    size: int | None = None
    """the size this name demands; None: any"""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """A search space of `size` numbers; make one with `build_space`."""

    name: str
    size: int
    """1: one number for all samples ("global"); more: one per bin ("local")"""
    scale: float
    """factor on the cosines of the loss"""
    upper: float
    """greatest equivalent margin of the clipped spaces, in cosine units"""

    @property
    def form(self) -> SpaceForm:
        return SPACES[self.name]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names of theta: ("margin",), or ("margin_0", ..., "margin_9")."""
        symbol = self.form.symbol
        return (symbol,) if self.size == 1 else tuple(f"{symbol}_{j}" for j in range(self.size))

    @property
    def unit(self) -> str:
        return self.form.unit

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest theta, the same for all components."""
        return self.form.bounds(self.scale, self.upper)

    @property
    def mean_bounds(self) -> tuple[float, float]:
        """Where the mean of a policy may lie: the bounds; anywhere if theta is -abs(draw)."""
        return FREE if self.form.folded else self.bounds

    @property
    def default_start(self) -> float:
        return self.form.defaults(self.scale).start

    @property
    def default_sigma(self) -> float:
        return self.form.defaults(self.scale).sigma

    @property
    def default_learning_rate(self) -> float:
        return self.form.defaults(self.scale).learning_rate

    def project(self, draw_BD: Floats) -> Floats:
        """theta (B, D) of draws (B, D): -abs(draw) for raw and released spaces, else clipped."""
        folded = 0.0 - np.abs(draw_BD) if self.form.folded else draw_BD
        return np.clip(folded, *self.bounds)

    def margins(self, theta_BD: Floats) -> Floats:
        """Equivalent margin ln(1 - a) / scale of every component, (B, D), in cosine units."""
        return self.form.shift(theta_BD, self.scale) / self.scale

    def margin(self, theta_BD: Floats) -> Floats:
        """Equivalent margin of each theta, (B,): the plain mean over the bins if there are several.

        With several bins no single margin gives the same loss; the mean is a summary that is exact
        where all bins agree and that moves with each of them by the same amount.
        """
        return np.asarray(self.margins(theta_BD).mean(axis=-1), dtype=np.float64)


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


def _log_of_margin(margin: float, scale: float) -> float:
    """rho = ln(exp(scale * margin) - 1), the inverse of softplus, without overflow."""
    shift = scale * margin
    return shift + math.log(-math.expm1(-shift))


def _bounds_of_margin(scale: float, upper: float) -> tuple[float, float]:
    return 0.0, upper


def _bounds_of_folded(scale: float, upper: float) -> tuple[float, float]:
    return -math.inf, 0.0


def _bounds_of_log(scale: float, upper: float) -> tuple[float, float]:
    # a = -0.001 is softmax for all purposes; below it every draw would be the same loss.
    return math.log(1e-3), _log_of_margin(upper, scale)


def _defaults_of_margin(scale: float) -> Defaults:
    return Defaults(start=0.05, sigma=0.1, learning_rate=0.02)


def _defaults_of_log(scale: float) -> Defaults:
    """Those of `margin`: for -a >> 1 the two differ by the factor scale only."""
    like = _defaults_of_margin(scale)
    return Defaults(
        start=_log_of_margin(like.start, scale),
        sigma=like.sigma * scale,
        learning_rate=like.learning_rate * scale,
    )


def _defaults_of_raw(scale: float) -> Defaults:
    """The paper's sigma and learning rate; the start is the first a of its Table 3 after 0."""
    return Defaults(start=-1.0, sigma=0.2, learning_rate=0.05)


def _defaults_of_released(scale: float) -> Defaults:
    """The paper's sigma and learning rate, one sigma from 0.

    The released code starts at 0, where -abs(draw) is symmetric and the mean gradient is zero.
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


def build_space(
    name: str = "margin",
    size: int = 1,
    scale: float = 32.0,
    upper: float = DEFAULT_UPPER_MARGIN,
) -> SearchSpace:
    """The search space of that name.

    Args:
        name: a key of SPACES.
        size: 1 for one number, or the number of bins of the target probability.
        scale: factor on the cosines, in (0, 1000].
        upper: greatest equivalent margin of `margin` and `log`, in (0, 2] cosine units. The default
            of 1.0 lies far beyond the margins in use (0.1 to 0.5), so that a search can start too
            high and return, and half the range of a cosine, so that the loss stays trainable.

    Raises:
        ConfigError: one line for each parameter that cannot be used.
    """
    mistakes = _mistakes(name, size, scale, upper)
    if mistakes:
        raise ConfigError(mistakes)
    return SearchSpace(name=name, size=size, scale=float(scale), upper=float(upper))


def _mistakes(name: str, size: int, scale: float, upper: float) -> list[str]:
    found = []
    if name not in SPACES:
        found.append(f"the search space must be one of {', '.join(SPACES)}; found {name!r}")
    elif size != (SPACES[name].size or size):
        found.append(f"space {name} has size {SPACES[name].size}; found {size}; use another space")
    if size < 1:
        found.append(f"the size of a search space must be at least 1; found {size}")
    if not 0.0 < scale <= MAX_SCALE:
        found.append(f"the scale must lie in (0, {MAX_SCALE:g}]; found {scale}")
    if not 0.0 < upper <= 2.0:
        found.append(f"the upper margin must lie in (0, 2] cosine units; found {upper}")
    return found
