"""Search spaces: from the number a policy draws to the loss parameters, theta, of a member.

Place in the data flow: policy.sample -> draw -> `SearchSpace.project` -> theta, which goes to the
member's loss (losses/ maps the same theta to the same shift) and the trial table. Plain float64.

Every space searches one number a <= 0, or one per bin of the target probability. The loss is
cross-entropy with the target logit lowered by the shift delta = ln(1 - a), which for one a is
CosFace with the margin delta / scale (Wang et al., ICML 2020, Eq. 7-8, in the log domain). Hence
every theta has an equivalent margin in cosine units, and that is what tables and plots show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import ConfigError
from lfs_ray.search.forms import SPACES, Defaults, SpaceForm

__all__ = ["SPACES", "SearchSpace", "build_space"]

Floats = NDArray[np.float64]

SCALES = (1.0, 1000.0)  # beyond them no loss trains; exp(scale / 2) stays finite
UPPER_MARGINS = (0.01, 2.0)  # 2 is the range of a cosine
FREE = (-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """A search space of `size` numbers; make one with `build_space`."""

    name: str
    """Key of SPACES."""
    size: int
    """1: one number for all samples ("global"); more: one per bin ("local")."""
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
        symbol = self.form.symbol
        return (symbol,) if self.size == 1 else tuple(f"{symbol}_{j}" for j in range(self.size))

    @property
    def unit(self) -> str:
        """Unit of draw and theta."""
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
    def defaults(self) -> Defaults:
        """Start, sigma and learning rate of a search that names none."""
        return self.form.defaults(self.scale)

    @property
    def default_start(self) -> float:
        """First mean of a policy that names none."""
        return self.defaults.start

    @property
    def default_sigma(self) -> float:
        """Standard deviation of draws where none is named."""
        return self.defaults.sigma

    @property
    def default_learning_rate(self) -> float:
        """Step of the mean where none is named."""
        return self.defaults.learning_rate

    def project(self, draw_BD: Floats) -> Floats:
        """Thetas (B, D) of draws (B, D): -abs(draw) for raw and released spaces, else clipped."""
        folded = 0.0 - np.abs(draw_BD) if self.form.folded else draw_BD
        return np.clip(folded, *self.bounds)

    def margins(self, theta_BD: Floats) -> Floats:
        """Equivalent margin ln(1 - a) / scale of every component, (B, D), in cosine units."""
        return self.form.shift(theta_BD, self.scale) / self.scale

    def margin(self, theta_BD: Floats) -> Floats:
        """Equivalent margin of each theta, (B,), in cosine units: the plain mean over the bins.

        With several bins no single margin gives the same loss; the mean is a summary that is exact
        where all bins agree and moves with each of them alike.
        """
        return np.asarray(self.margins(theta_BD).mean(axis=-1), dtype=np.float64)


def build_space(
    name: str = "margin", size: int = 1, scale: float = 32.0, upper: float = 1.0
) -> SearchSpace:
    """The search space of that name.

    Args:
        name: a key of SPACES.
        size: 1 for one number, or the number of bins of the target probability.
        scale: factor on the cosines, in [1, 1000].
        upper: greatest equivalent margin of `margin` and `log`, in [0.01, 2] cosine units. 1 lies
            beyond all margins in use (0.1 to 0.5), so that a search that starts too high can
            return, and is half the range of a cosine, so that a member drawn there still trains.

    Raises:
        ConfigError: one line for each parameter that cannot be used.

    >>> space = build_space("released-global")
    >>> space.margin(space.project(np.array([[1.0], [-0.1]]))).round(3).tolist()
    [0.333, 0.261]
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
    if not SCALES[0] <= scale <= SCALES[1]:
        found.append(f"the loss scale must lie in [{SCALES[0]:g}, {SCALES[1]:g}]; found {scale}")
    if not UPPER_MARGINS[0] <= upper <= UPPER_MARGINS[1]:
        least, most = UPPER_MARGINS
        found.append(f"the largest margin must lie in [{least:g}, {most:g}]; found {upper}")
    return found
