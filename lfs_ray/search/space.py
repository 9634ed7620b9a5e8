"""Search spaces: from the numbers a policy draws to the loss parameters, theta, of a member.

Place in the data flow: policy.sample -> draw -> `SearchSpace.project` -> theta, which goes to the
member's loss (losses/ reads the same theta) and the trial table. Plain float64.

Most spaces search one number a <= 0, or one per bin of the target probability: cross-entropy with
the target logit lowered by the shift delta = ln(1 - a), which for one a is CosFace with the margin
delta / scale (Wang et al., ICML 2020, Eq. 7-8, in the log domain). Such a theta has an equivalent
margin in cosine units, and that is what tables and plots show; where there is none it is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lfs_ray.errors import ConfigError
from lfs_ray.search.form import Defaults, Floats, SpaceForm, Vector
from lfs_ray.search.forms import SPACES, spaces_for

__all__ = ["SPACES", "SearchSpace", "build_space", "spaces_for"]

SCALES = (1.0, 1000.0)  # beyond them no loss trains; exp(scale / 2) stays finite
UPPER_MARGINS = (0.01, 2.0)  # 2 is the range of a cosine
BINS = 6
"""Bins of a piecewise linear function that names no other number, as in AM-LFS."""
SPAN_DEVIATIONS = 5.0
"""How far from the start a grid or a global method looks where a space has no bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """A search space of `size` numbers; make one with `build_space`."""

    name: str
    """Key of SPACES."""
    size: int
    """Numbers in theta."""
    scale: float
    """Factor on the cosines of the loss."""
    upper: float
    """Greatest equivalent margin of the clipped spaces, in cosine units."""

    @property
    def form(self) -> SpaceForm:
        """What all spaces of this name share."""
        return SPACES[self.name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of theta's components: ("margin",), or ("margin_0", ..., "margin_9")."""
        return self.form.names(self.size)

    @property
    def unit(self) -> str:
        """Unit of draw and theta."""
        return self.form.unit

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Least and greatest theta, D numbers each."""
        return self.form.bounds(self.size, self.scale, self.upper)

    @property
    def mean_bounds(self) -> tuple[Vector, Vector]:
        """Where the mean of a policy may lie: the bounds; anywhere if theta is -abs(draw)."""
        if self.form.folded:
            return (-math.inf,) * self.size, (math.inf,) * self.size
        return self.bounds

    @property
    def defaults(self) -> Defaults:
        """Start, sigma and learning rate of a search that names none."""
        return self.form.defaults(self.size, self.scale)

    @property
    def default_start(self) -> Vector:
        """First mean of a policy that names none."""
        return self.defaults.start

    @property
    def default_sigma(self) -> Vector:
        """Standard deviations of draws where none is named."""
        return self.defaults.sigma

    @property
    def default_learning_rate(self) -> Vector:
        """Steps of the mean where none is named."""
        return self.defaults.learning_rate

    def per_component(self, value: float | Sequence[float]) -> Vector:
        """One number for every component, or one each, as a vector (not checked for length)."""
        given = tuple(map(float, value)) if isinstance(value, Sequence) else (float(value),)
        return given * self.size if len(given) == 1 else given

    def span(self, start: Vector, sigma: Vector) -> tuple[Vector, Vector]:
        """A finite box: the bounds, or five sigma from the start on sides that have none."""
        low, high = self.bounds
        centre = [-abs(x) for x in start] if self.form.folded else start
        around = list(zip(centre, sigma, strict=True))
        least = [c - SPAN_DEVIATIONS * deviation for c, deviation in around]
        greatest = [c + SPAN_DEVIATIONS * deviation for c, deviation in around]
        return _finite_or(low, least), _finite_or(high, greatest)

    def project(self, draw_BD: Floats) -> Floats:
        """Thetas (B, D) of draws (B, D): -abs(draw) for raw and released spaces, else clipped."""
        folded = 0.0 - np.abs(draw_BD) if self.form.folded else draw_BD
        return np.clip(folded, *self.bounds)

    def margins(self, theta_BD: Floats) -> Floats:
        """Equivalent margins in cosine units, (B, K): ln(1 - a) / scale of every component.

        One column where theta as a whole stands for one margin, or (all NaN) for none.
        """
        return self.form.margins(theta_BD, self.scale)

    def margin(self, theta_BD: Floats) -> Floats:
        """Equivalent margin of each theta, (B,), in cosine units: the plain mean over the bins.

        With several bins no single margin gives the same loss; the mean is a summary that is exact
        where all bins agree and moves with each of them alike. NaN where there is no margin.
        """
        return np.asarray(self.margins(theta_BD).mean(axis=-1), dtype=np.float64)


def _finite_or(bounds: Vector, others: Sequence[float]) -> Vector:
    return tuple(x if math.isfinite(x) else y for x, y in zip(bounds, others, strict=True))


def build_space(
    name: str = "margin",
    size: int | None = None,
    scale: float = 32.0,
    upper: float = 1.0,
    *,
    loss: str | None = None,
    bins: int = BINS,
) -> SearchSpace:
    """The search space of that name.

    Args:
        name: a key of SPACES.
        size: numbers in theta; None: what the loss needs, or the first loss that the space fits.
        scale: factor on the cosines, in [1, 1000].
        upper: greatest equivalent margin of `margin`, `log` and `sample-margin`, in [0.01, 2]
            cosine units. 1 lies beyond all margins in use (0.1 to 0.5), so that a search that
            starts too high can return, and is half the range of a cosine, so that a member drawn
            there still trains.
        loss: name of the loss that is searched; None: not checked.
        bins: bins of the piecewise linear spaces, at least 1.

    Raises:
        ConfigError: one line for each parameter that cannot be used.

    >>> space = build_space("released-global")
    >>> space.margin(space.project(np.array([[1.0], [-0.1]]))).round(3).tolist()
    [0.333, 0.261]
    >>> build_space("piecewise", loss="am_lfs").size
    24
    """
    mistakes = _fit_mistakes(name, size, loss, bins) + _range_mistakes(scale, upper)
    if mistakes:
        raise ConfigError(mistakes)
    form = SPACES[name]
    if size is None:
        size = form.size_for(loss or next(iter(form.losses)), bins)
    return SearchSpace(name=name, size=size, scale=float(scale), upper=float(upper))


def _fit_mistakes(name: str, size: int | None, loss: str | None, bins: int) -> list[str]:
    if name not in SPACES:
        return [f"the search space must be one of {', '.join(SPACES)}; found {name!r}"]
    if bins < 1:
        return [f"the bins of a search space must be at least 1; found {bins}"]
    if loss is not None and loss not in SPACES[name].losses:
        return [_misfit(name, loss)]
    if size is not None and size < 1:
        return [f"the size of a search space must be at least 1; found {size}"]
    return [] if size is None else _size_mistakes(name, size, loss, bins)


def _misfit(name: str, loss: str) -> str:
    fitting = spaces_for(loss)
    if not fitting:
        return f"loss {loss} has no numbers to search; found search space {name} for it"
    return f"the search space of loss {loss} must be one of {', '.join(fitting)}; found {name}"


def _size_mistakes(name: str, size: int, loss: str | None, bins: int) -> list[str]:
    form = SPACES[name]
    fixed = form.size if loss is None else form.size_for(loss, bins)
    if size != (fixed or size):
        return [f"space {name} has size {fixed}; found {size}; use another space"]
    if size % len(form.symbols):
        return [
            f"the size of space {name} must be a multiple of {len(form.symbols)}; found {size}"
        ]
    return []


def _range_mistakes(scale: float, upper: float) -> list[str]:
    found = []
    if not SCALES[0] <= scale <= SCALES[1]:
        found.append(f"the loss scale must lie in [{SCALES[0]:g}, {SCALES[1]:g}]; found {scale}")
    if not UPPER_MARGINS[0] <= upper <= UPPER_MARGINS[1]:
        least, most = UPPER_MARGINS
        found.append(f"the largest margin must lie in [{least:g}, {most:g}]; found {upper}")
    return found
