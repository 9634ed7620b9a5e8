"""Policies by name: the distribution over draws of a population, and how it learns.

Place in the data flow: a population builds its policy once, draws from it when a round opens and
updates it at the close. State in, state out: the state is the fold of `update` over the rounds.

    fixed            every draw is the start; a fixed loss
    random           normal draws around the start, no selection, no update: Random-Softmax
    selection_only   the same draws, the best member's weights go on, no update
    reinforce        the mean follows the policy gradient: Search-Softmax (ICML 2020, Algorithm 1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import ConfigError
from lfs_ray.search.gaussian import GaussianPolicy
from lfs_ray.search.space import SearchSpace
from lfs_ray.search.state import FinishedRound, PolicySettings, PolicyState, initial_state

Floats = NDArray[np.float64]


class Policy(Protocol):
    """What a population asks of its policy; implementations are frozen."""

    @property
    def learns(self) -> bool:
        """Whether update may change the state; then a population needs two members or more."""

    @property
    def needs_selection(self) -> bool:
        """Whether the weights of the best member start the next round."""

    def initial_state(self) -> PolicyState:
        """The state before the first round."""

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """Draws (n, D) float64, before projection; a function of its arguments alone."""

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """The state after a closed round; independent of the order of the members."""


class DensityPolicy(Policy, Protocol):
    """A policy whose draws have a density."""

    def log_prob(self, state: PolicyState, draws_ND: Floats) -> Floats:
        """Log density (N,) of the variable really drawn, before projection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedPolicy:
    """Every draw is the start."""

    start: PolicyState
    learns: bool = False
    needs_selection: bool = False

    def initial_state(self) -> PolicyState:
        """The state before the first round, and after every other."""
        return self.start

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """The mean, n times, (n, D)."""
        return np.tile(np.asarray(state.mean, dtype=np.float64), (n, 1))

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """The same state."""
        return state


def _fixed(space: SearchSpace, settings: PolicySettings) -> Policy:
    settings = PolicySettings(start=settings.start, sigma=0.0)
    return FixedPolicy(start=initial_state(settings, space))


def _random(space: SearchSpace, settings: PolicySettings) -> Policy:
    return _gaussian(space, settings, learns=False, needs_selection=False)


def _selection_only(space: SearchSpace, settings: PolicySettings) -> Policy:
    return _gaussian(space, settings, learns=False, needs_selection=True)


def _reinforce(space: SearchSpace, settings: PolicySettings) -> Policy:
    if settings.sigma is not None and not settings.sigma > 0.0:
        raise ConfigError(
            f"the sigma of a policy that learns must be positive; found {settings.sigma}"
        )
    return _gaussian(space, settings, learns=True, needs_selection=True)


def _gaussian(
    space: SearchSpace, settings: PolicySettings, *, learns: bool, needs_selection: bool
) -> GaussianPolicy:
    rate = settings.learning_rate
    return GaussianPolicy(
        start=initial_state(settings, space),
        learning_rate=space.default_learning_rate if rate is None else rate,
        betas=settings.betas,
        epsilon=settings.epsilon,
        mean_bounds=space.mean_bounds,
        learns=learns,
        needs_selection=needs_selection,
    )


POLICIES: dict[str, Callable[[SearchSpace, PolicySettings], Policy]] = {
    "fixed": _fixed,
    "random": _random,
    "reinforce": _reinforce,
    "selection_only": _selection_only,
}


def build_policy(name: str, space: SearchSpace, settings: PolicySettings | None = None) -> Policy:
    """The policy of that name over a space.

    Raises:
        ConfigError: no such policy, or settings that cannot be used, one line each.
    """
    if name not in POLICIES:
        raise ConfigError(f"the policy must be one of {', '.join(POLICIES)}; found {name!r}")
    return POLICIES[name](space, PolicySettings() if settings is None else settings)
