"""What goes into a policy and what comes out: settings, state and the members of a closed round.

Place in the data flow: `PolicySettings` and a space make the first `PolicyState`; a closed round's
`FinishedRound` and the state make the next state (policy.update), whose digest is committed.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import ConfigError
from lfs_ray.search.form import Floats, Vector
from lfs_ray.search.space import SearchSpace

Rows = tuple[Vector, ...]
"""The finished members of a round: (advantage, draw...), best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySettings:
    """Settings of a policy, in units of the draw; None means the space's default."""

    start: float | Vector | None = None
    """First mean: one number for all components, or one each."""
    sigma: float | Vector | None = None
    """Standard deviation of the first draws: one number for all components, or one each."""
    learning_rate: float | Vector | None = None
    """Step size of Adam on the mean: one number for all components, or one each."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Decay of Adam's first and second moment; these are the released code's (ICML 2020)."""
    epsilon: float = 1e-8
    """Added to the root of Adam's second moment."""
    compat: frozenset[str] = frozenset()
    """Defects of the released code to be reproduced, names of `released.SWITCHES`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyState:
    """All that a policy remembers between rounds; equal states draw and learn alike.

    Tuples of D floats, D the size of the space; where deviations learn too, the moments hold those
    of the means, then those of the logarithms of the deviations. Step counts Adam's updates.
    """

    mean: Vector
    std: Vector
    first_moment: Vector
    second_moment: Vector
    step: int = 0
    history: tuple[Rows, ...] = ()
    """Rounds that were learned from, for policies that fit all of them anew."""

    def digest(self) -> str:
        """Sha256, 64 hex digits, over size, step and the bits of all numbers (little-endian)."""
        numbers = (*self.mean, *self.std, *self.first_moment, *self.second_moment)
        hashed = hashlib.sha256(struct.pack("<2q", len(self.mean), self.step))
        hashed.update(struct.pack(f"<{len(numbers)}d", *numbers))
        for rows in self.history:
            hashed.update(struct.pack("<q", len(rows)))
            hashed.update(np.array(rows, dtype="<f8").tobytes())
        return hashed.hexdigest()


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

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which members finished, (B,)."""
        return np.isfinite(self.advantages_B)

    def tells_nothing(self) -> bool:
        """Whether fewer than two members finished, or none is better than another."""
        advantages_B = self.advantages_B[self.kept]
        return len(advantages_B) < 2 or not advantages_B.any()

    def rows(self) -> Rows:
        """The finished members, best first; no order of members shows."""
        finished = zip(
            self.advantages_B[self.kept].tolist(), self.draws_BD[self.kept].tolist(), strict=True
        )
        return tuple(sorted(((a, *draw) for a, draw in finished), reverse=True))


def initial_state(settings: PolicySettings, space: SearchSpace) -> PolicyState:
    """The state before the first round: mean at the start, deviation sigma, moments zero.

    Raises:
        ConfigError: one line for each setting that cannot be used.
    """
    mean = space.per_component(space.default_start if settings.start is None else settings.start)
    std = space.per_component(space.default_sigma if settings.sigma is None else settings.sigma)
    mistakes = [
        *_start_mistakes(space, mean),
        *_sigma_mistakes(space, std),
        *_adam_mistakes(settings, space),
    ]
    if mistakes:
        raise ConfigError(mistakes)
    zeros = (0.0,) * space.size
    return PolicyState(mean=mean, std=std, first_moment=zeros, second_moment=zeros)


def learning_start(settings: PolicySettings, space: SearchSpace) -> PolicyState:
    """As `initial_state`, for a policy that learns: it must try something.

    Raises:
        ConfigError: one line for each setting that cannot be used.
    """
    start = initial_state(settings, space)
    if not all(start.std):
        raise ConfigError("the sigma of a policy that learns must be positive; found 0.0")
    return start


def _start_mistakes(space: SearchSpace, mean: Vector) -> list[str]:
    if len(mean) != space.size:
        return [f"the start must hold 1 or {space.size} numbers; found {len(mean)}"]
    for x, low, high, name in zip(mean, *space.mean_bounds, space.names, strict=True):
        if not (math.isfinite(x) and low <= x <= high):
            return [
                f"the start must lie in [{low:g}, {high:g}] (space {space.name}, {name}, unit "
                f"{space.unit}); found {x}"
            ]
    return []


def _sigma_mistakes(space: SearchSpace, std: Vector) -> list[str]:
    if len(std) != space.size:
        return [f"sigma must hold 1 or {space.size} numbers; found {len(std)}"]
    unusable = [x for x in std if not (math.isfinite(x) and x >= 0.0)]
    return [f"sigma must be finite and not negative; found {unusable[0]}"] if unusable else []


def _adam_mistakes(settings: PolicySettings, space: SearchSpace) -> list[str]:
    found = []
    rates = () if settings.learning_rate is None else space.per_component(settings.learning_rate)
    if rates and len(rates) != space.size:
        found.append(
            f"the policy's learning rate must hold 1 or {space.size} numbers; found {len(rates)}"
        )
    unusable = [rate for rate in rates if not (math.isfinite(rate) and rate > 0.0)]
    if unusable:
        found.append(
            f"the policy's learning rate must be finite and positive; found {unusable[0]}"
        )
    if not all(0.0 <= beta < 1.0 for beta in settings.betas):
        found.append(f"the policy's betas must lie in [0, 1); found {settings.betas}")
    if not settings.epsilon > 0.0:
        found.append(f"the policy's epsilon must be positive; found {settings.epsilon}")
    return found
