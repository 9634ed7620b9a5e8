"""What goes into a policy and what comes out: settings, state and the members of a closed round.

Place in the data flow: `PolicySettings` and a space make the first `PolicyState`; a closed round's
`FinishedRound` and the state make the next state (policy.update), whose digest is committed.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import ConfigError
from lfs_ray.search.space import SearchSpace

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySettings:
    """Settings of a policy, in units of the draw; None means the space's default."""

    start: float | tuple[float, ...] | None = None
    """First mean: one number for all components, or one each."""
    sigma: float | None = None
    """Standard deviation of the draws, the same throughout the search."""
    learning_rate: float | None = None
    """Step size of Adam."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Decay of Adam's first and second moment; these are the released code's (ICML 2020)."""
    epsilon: float = 1e-8
    """Added to the root of Adam's second moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyState:
    """All that a policy remembers between rounds; equal states draw and learn alike.

    Tuples of D floats, D the size of the space. Moments are Adam's, step counts its updates.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    first_moment: tuple[float, ...]
    second_moment: tuple[float, ...]
    step: int = 0

    def digest(self) -> str:
        """Sha256, 64 hex digits, over size, step and the bits of all numbers (little-endian)."""
        numbers = (*self.mean, *self.std, *self.first_moment, *self.second_moment)
        header = struct.pack("<2q", len(self.mean), self.step)
        return hashlib.sha256(header + struct.pack(f"<{len(numbers)}d", *numbers)).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FinishedRound:
    """The members of a closed round; those that failed carry a NaN advantage, in any order."""

    draws_BD: Floats
    """What the policy sampled, before projection."""
    thetas_BD: Floats
    """What was executed."""
    rewards_B: Floats
    """As measured; for policies that shape them on their own."""
    advantages_B: Floats
    """Weights of the gradient, from `rewards.advantages`."""


def initial_state(settings: PolicySettings, space: SearchSpace) -> PolicyState:
    """The state before the first round: mean at the start, deviation sigma, moments zero.

    Raises:
        ConfigError: one line for each setting that cannot be used.
    """
    start = space.default_start if settings.start is None else settings.start
    sigma = space.default_sigma if settings.sigma is None else settings.sigma
    mean = tuple(map(float, start)) if isinstance(start, Sequence) else (float(start),)
    mean = mean * space.size if len(mean) == 1 else mean
    mistakes = _mistakes(settings, space, mean, sigma)
    if mistakes:
        raise ConfigError(mistakes)
    zeros = (0.0,) * space.size
    return PolicyState(
        mean=mean, std=(float(sigma),) * space.size, first_moment=zeros, second_moment=zeros
    )


def _mistakes(
    settings: PolicySettings, space: SearchSpace, mean: tuple[float, ...], sigma: float
) -> list[str]:
    found = []
    low, high = space.mean_bounds
    if len(mean) != space.size:
        found.append(f"the start must hold 1 or {space.size} numbers; found {len(mean)}")
    outside = [x for x in mean if not (math.isfinite(x) and low <= x <= high)]
    if outside:
        found.append(
            f"the start must lie in [{low:g}, {high:g}] (space {space.name}, unit {space.unit}); "
            f"found {outside[0]}"
        )
    if not (math.isfinite(sigma) and sigma >= 0.0):
        found.append(f"sigma must be finite and not negative; found {sigma}")
    rate = settings.learning_rate
    if rate is not None and not (math.isfinite(rate) and rate > 0.0):
        found.append(f"the policy's learning rate must be finite and positive; found {rate}")
    if not all(0.0 <= beta < 1.0 for beta in settings.betas):
        found.append(f"the policy's betas must lie in [0, 1); found {settings.betas}")
    if not settings.epsilon > 0.0:
        found.append(f"the policy's epsilon must be positive; found {settings.epsilon}")
    return found
