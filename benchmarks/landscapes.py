"""Synthetic rewards over the search spaces: what a search would see, without training anything.

Every landscape lives in a real space, from its own start, with an optimum 0.35 away along a fixed
pattern of signs and sizes; in the space `margin` of one number that is from 0.05 to 0.40. The
start is 1.2 points of accuracy worse than the optimum: what a margin is worth on hard pairs.
`progress` is the elapsed share of the run, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.search.space import SearchSpace, build_space

Floats = NDArray[np.float64]
Shape = Callable[[Floats], Floats]

DEPTH = 0.012
"""Accuracy between start and optimum."""
DISTANCE = 0.35
LITTLE_NOISE = 0.0002
"""Deviation of a reward among members that see the same batches."""
MUCH_NOISE = 0.004
"""A third of all that there is to be gained."""


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """A reward over theta: level - loss of the shape + noise."""

    name: str
    shape: Shape
    """Offsets from the optimum in units of DISTANCE, (N, D) -> regret in units of DEPTH, (N,)."""
    noise: float = LITTLE_NOISE
    optimum: tuple[float, float] = (0.35, 0.35)
    """Distance of the optimum from the start at the begin and at the end of the run."""
    level: tuple[float, float] = (0.9, 0.9)
    """Reward of the optimum at the begin and at the end."""

    def regret(self, space: SearchSpace, theta_ND: Floats, progress: float) -> Floats:
        """What thetas (N, D) lose against the best one, (N,), in accuracy."""
        away = np.interp(progress, (0.0, 1.0), self.optimum)
        pattern_D = pattern(space)
        optimum_D = np.asarray(space.default_start) + away * pattern_D
        return DEPTH * self.shape((theta_ND - optimum_D) / DISTANCE * np.sign(pattern_D))

    def rewards(
        self, space: SearchSpace, theta_ND: Floats, progress: float, rng: np.random.Generator
    ) -> Floats:
        """What a search is told of them, (N,)."""
        level = np.interp(progress, (0.0, 1.0), self.level)
        noise_N = self.noise * rng.standard_normal(len(theta_ND))
        return level - self.regret(space, theta_ND, progress) + noise_N


def pattern(space: SearchSpace) -> Floats:
    """Where the optimum lies, (D,): all ones for one number, else of mean square 1."""
    if space.size == 1:
        return np.ones(1)
    sizes_D = np.linspace(0.5, 1.5, space.size)
    signs_D = np.where(np.arange(space.size) % 3 == 2, -1.0, 1.0)
    clipped = np.isfinite(space.bounds[0][0])
    pattern_D = sizes_D if clipped else sizes_D * signs_D
    return np.asarray(pattern_D / np.sqrt(np.mean(pattern_D**2)))


def quadratic(away_ND: Floats) -> Floats:
    """The mean square of the offsets."""
    return np.asarray(np.mean(away_ND**2, axis=1))


def ridge(away_ND: Floats) -> Floats:
    """Sharp across the diagonal, where the reward has a kink, and three times flatter along it."""
    across_N = np.abs(away_ND.mean(axis=1))
    along_ND = away_ND - away_ND.mean(axis=1, keepdims=True)
    return across_N + quadratic(along_ND) / 3.0


def saturating(away_ND: Floats) -> Floats:
    """Nothing more to gain or to lose beyond the optimum."""
    return quadratic(np.minimum(away_ND, 0.0))


def plateau(away_ND: Floats) -> Floats:
    """Flat all around a hill: two percent of the hill's height are left at the start."""
    return np.asarray(1.0 - np.exp(-4.0 * quadratic(away_ND)))


LANDSCAPES = {
    "quadratic": Landscape(name="quadratic", shape=quadratic, noise=0.0),
    "ridge": Landscape(name="ridge", shape=ridge),
    "noisy": Landscape(name="noisy", shape=quadratic, noise=MUCH_NOISE),
    "saturating": Landscape(name="saturating", shape=saturating),
    "plateau": Landscape(name="plateau", shape=plateau),
    "drifting": Landscape(name="drifting", shape=quadratic, optimum=(0.15, 0.45)),
    "rising": Landscape(name="rising", shape=quadratic, level=(0.5, 0.95)),
}

SPACES = {
    1: build_space("margin", loss="global"),
    10: build_space("margin", loss="local"),
    24: build_space("piecewise", loss="am_lfs", bins=6),
}
"""The space of each number of dimensions."""
