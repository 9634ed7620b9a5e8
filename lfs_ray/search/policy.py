"""Policies by name: the distribution over draws of a population, and how it learns.

Place in the data flow: a population builds its policy once, draws from it when a round opens and
updates it at the close. State in, state out: the state is the fold of `update` over the rounds.

    fixed               every draw is the start; a fixed loss
    grid                the same points in every round
    random              normal draws around the start, no selection, no update: Random-Softmax
    selection_only      the same draws, the best member's weights go on, no update
    reinforce           the mean follows the policy gradient, with the space's sigma and rate
    paper               the same with sigma 0.2 and rate 0.05 (ICML 2020, Algorithm 1)
    reinforce_adaptive  reinforce whose deviation learns too
    pgpe                reinforce from pairs of mirrored draws
    cma                 CMA-ES
    tpe                 Bayesian search by Parzen estimators; needs optuna

docs/search.md compares them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np

from lfs_ray.errors import ConfigError
from lfs_ray.search.form import Floats
from lfs_ray.search.gaussian import GaussianPolicy, LearntDeviation
from lfs_ray.search.grid import GridPolicy
from lfs_ray.search.released import ReleasedPolicy, check_switches
from lfs_ray.search.space import SearchSpace
from lfs_ray.search.state import (
    FinishedRound,
    PolicySettings,
    PolicyState,
    initial_state,
    learning_start,
)

DEVIATION = LearntDeviation(learning_rate=0.05, least=0.25, greatest=1.0)
"""By simulation (docs/search.md): a deviation that may also grow makes every reward worse."""
PAPER_SIGMA = 0.2
PAPER_LEARNING_RATE = 0.05


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


Factory = Callable[[SearchSpace, PolicySettings], Policy]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A factory whose module takes long to import or may be missing: imported when it is used."""

    module: str

    def __call__(self, space: SearchSpace, settings: PolicySettings) -> Policy:
        """What `build` of that module gives."""
        build = cast(Factory, importlib.import_module(self.module).build)
        return build(space, settings)


def _fixed(space: SearchSpace, settings: PolicySettings) -> Policy:
    settings = PolicySettings(start=settings.start, sigma=0.0)
    return FixedPolicy(start=initial_state(settings, space))


def _grid(space: SearchSpace, settings: PolicySettings) -> Policy:
    start = initial_state(settings, space)
    low, high = space.span(start.mean, start.std)
    return GridPolicy(low=low, high=high)


def _random(space: SearchSpace, settings: PolicySettings) -> Policy:
    return _at_rest(space, settings, needs_selection=False)


def _selection_only(space: SearchSpace, settings: PolicySettings) -> Policy:
    return _at_rest(space, settings, needs_selection=True)


def _at_rest(
    space: SearchSpace, settings: PolicySettings, *, needs_selection: bool
) -> GaussianPolicy:
    policy = _learning(space, replace(settings, sigma=None))
    start = initial_state(settings, space)
    return replace(policy, start=start, learns=False, needs_selection=needs_selection)


def _reinforce(space: SearchSpace, settings: PolicySettings) -> Policy:
    check_switches(settings.compat, space)
    if "selection_only" in settings.compat and settings.start is None:
        settings = replace(settings, start=0.0)
    policy = _learning(space, settings)
    if not settings.compat:
        return policy
    return ReleasedPolicy(honest=policy, switches=settings.compat)


def _paper(space: SearchSpace, settings: PolicySettings) -> Policy:
    sigma = PAPER_SIGMA if settings.sigma is None else settings.sigma
    rate = PAPER_LEARNING_RATE if settings.learning_rate is None else settings.learning_rate
    return _reinforce(space, replace(settings, sigma=sigma, learning_rate=rate))


def _reinforce_adaptive(space: SearchSpace, settings: PolicySettings) -> Policy:
    return replace(_learning(space, settings), deviation=DEVIATION)


def _pgpe(space: SearchSpace, settings: PolicySettings) -> Policy:
    return replace(_learning(space, settings), antithetic=True)


def _learning(space: SearchSpace, settings: PolicySettings) -> GaussianPolicy:
    rate = settings.learning_rate
    return GaussianPolicy(
        start=learning_start(settings, space),
        learning_rate=space.per_component(space.default_learning_rate if rate is None else rate),
        betas=settings.betas,
        epsilon=settings.epsilon,
        mean_bounds=space.mean_bounds,
        learns=True,
        needs_selection=True,
    )


POLICIES: dict[str, Factory] = {
    "fixed": _fixed,
    "grid": _grid,
    "random": _random,
    "selection_only": _selection_only,
    "reinforce": _reinforce,
    "paper": _paper,
    "reinforce_adaptive": _reinforce_adaptive,
    "pgpe": _pgpe,
    "cma": Elsewhere("lfs_ray.search.evolution"),
    "tpe": Elsewhere("lfs_ray.search.tpe"),
}
WITH_COMPAT = ("reinforce", "paper")
"""Policies that can do as the released code does."""


def build_policy(name: str, space: SearchSpace, settings: PolicySettings | None = None) -> Policy:
    """The policy of that name over a space.

    Raises:
        ConfigError: no such policy, or settings that cannot be used, one line each.
    """
    if name not in POLICIES:
        raise ConfigError(f"the policy must be one of {', '.join(POLICIES)}; found {name!r}")
    settings = PolicySettings() if settings is None else settings
    if settings.compat and name not in WITH_COMPAT:
        raise ConfigError(
            f"compat of a policy needs policy {' or '.join(WITH_COMPAT)}; found {name}"
        )
    return POLICIES[name](space, settings)
