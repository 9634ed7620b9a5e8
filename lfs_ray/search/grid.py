"""A grid: the same points in every round, nothing learned.

Place in the data flow: as every policy; its rows of the trial table are a plot of reward over
theta, round by round. One number: points evenly spaced from end to end. Several: a fixed Latin
hypercube (McKay et al., Technometrics 1979): cell j of every axis holds one point, at its middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lfs_ray.search.form import Floats, Vector
from lfs_ray.search.state import FinishedRound, PolicyState

LATTICE_SEED = 2007_06542
"""Of the permutations that make the lattice; never of the run: a grid is a grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GridPolicy:
    """Points spread over a box; the policy's mean is the middle of the box."""

    low: Vector
    high: Vector
    learns: bool = False
    needs_selection: bool = True

    def initial_state(self) -> PolicyState:
        """The state before the first round, and after every other."""
        zeros = (0.0,) * len(self.low)
        return PolicyState(
            mean=tuple((a + b) / 2.0 for a, b in zip(self.low, self.high, strict=True)),
            std=uniform_deviations(self.low, self.high),
            first_moment=zeros,
            second_moment=zeros,
        )

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """The grid of n points, (n, D), whatever state and seed; one point lies in the middle."""
        low_D, high_D = np.asarray(self.low), np.asarray(self.high)
        return np.asarray(low_D + (high_D - low_D) * _unit_points(n, len(self.low)))

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """The same state."""
        return state


def uniform_deviations(low: Vector, high: Vector) -> Vector:
    """Standard deviations of a uniform distribution over the box."""
    return tuple((b - a) / math.sqrt(12.0) for a, b in zip(low, high, strict=True))


def _unit_points(n: int, size: int) -> Floats:
    """Points (n, size) in the unit cube."""
    if size == 1 and n > 1:
        return np.linspace(0.0, 1.0, n)[:, None]
    generator = np.random.default_rng(LATTICE_SEED)
    cells_ND = np.stack([generator.permutation(n) for _ in range(size)], axis=1)
    return (cells_ND + 0.5) / n
