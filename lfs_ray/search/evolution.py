"""CMA-ES (Hansen and Ostermeier, 2001): a normal distribution whose whole covariance learns.

Place in the data flow: as every policy. The work is done by the package `cma`, whose import takes
about a second (it imports scipy and matplotlib); `policy` imports this module only when it is
asked for. The state is the history of (advantage, draw): an evolution strategy is the fold of
`tell` over it. Only the order of the members within a round matters to it, so advantages will do.

Coordinates of the strategy are (draw - start) / sigma; it is told draws clipped to the bounds.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass, replace

import cma
import numpy as np

from lfs_ray.search.form import Floats, Vector
from lfs_ray.search.space import SearchSpace
from lfs_ray.search.state import (
    FinishedRound,
    PolicySettings,
    PolicyState,
    Rows,
    learning_start,
)

LEAST_MEMBERS = 3
"""Fewer finished members tell a CMA-ES nothing (`cma` refuses them)."""
LEAST_DEVIATION = 0.2
"""Of the widest axis, in units of sigma: a model that trains never stops to change its optimum."""
GREATEST_DEVIATION = 1.5
"""Both by simulation (benchmarks/search_regret.py): wider draws cost more than they find."""
CACHED = 8
"""Strategies kept, one a population at least; all can be made again from the history."""


class SeededNormal:
    """The normal numbers of a strategy, from a generator that is set for every round."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def __call__(self, *shape: int) -> Floats:
        """Standard normal numbers of that shape."""
        return self.generator.standard_normal(shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvolutionPolicy:
    """CMA-ES around the start."""

    start: PolicyState
    mean_bounds: tuple[Vector, Vector]
    learns: bool = True
    needs_selection: bool = True

    def initial_state(self) -> PolicyState:
        """The state before the first round."""
        return self.start

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """Draws (n, D) of the normal distribution that the history leads to."""
        strategy = copy.deepcopy(_strategy(len(self.start.mean), state.history))
        strategy.opts["randn"].generator = np.random.default_rng(seed)
        unit_ND = np.array(strategy.ask(n))
        mean_D, std_D = np.asarray(self.start.mean), np.asarray(self.start.std)
        return np.asarray(mean_D + std_D * unit_ND)

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """The state after one more round; unchanged if it tells nothing or too few finished."""
        if finished.tells_nothing() or np.count_nonzero(finished.kept) < LEAST_MEMBERS:
            return state
        history = (*state.history, self._in_units(finished.rows()))
        strategy = _strategy(len(state.mean), history)
        mean_D, std_D = np.asarray(self.start.mean), np.asarray(self.start.std)
        return replace(
            state,
            mean=tuple((mean_D + std_D * strategy.mean).tolist()),
            std=tuple((std_D * strategy.stds).tolist()),
            step=state.step + 1,
            history=history,
        )

    def _in_units(self, rows: Rows) -> Rows:
        """Rows whose draws are clipped to the bounds, in the strategy's coordinates."""
        draws_BD = np.clip(np.array([row[1:] for row in rows]), *self.mean_bounds)
        unit_BD = (draws_BD - np.asarray(self.start.mean)) / np.asarray(self.start.std)
        return tuple((row[0], *unit) for row, unit in zip(rows, unit_BD.tolist(), strict=True))


def _strategy(size: int, history: tuple[Rows, ...]) -> cma.CMAEvolutionStrategy:
    """The strategy after the history; nobody may change it.

    Its population is the largest that ever finished: failed members equal absent ones.
    """
    members = max((len(rows) for rows in history), default=LEAST_MEMBERS)
    known = len(history)
    while known and (size, members, history[:known]) not in _STRATEGIES:
        known -= 1
    strategy = _STRATEGIES.get((size, members, history[:known])) or _new(size, members)
    for rows in history[known:]:
        strategy = _told(strategy, rows)
    _STRATEGIES[size, members, history] = strategy
    _STRATEGIES.move_to_end((size, members, history))
    while len(_STRATEGIES) > CACHED:
        _STRATEGIES.popitem(last=False)
    return strategy


def _told(strategy: cma.CMAEvolutionStrategy, rows: Rows) -> cma.CMAEvolutionStrategy:
    """A new strategy, one round further; the same if fewer finished than it takes parents."""
    if len(rows) < strategy.sp.weights.mu:
        return strategy
    strategy = copy.deepcopy(strategy)
    strategy.opts["randn"].generator = np.random.default_rng(0)
    strategy.ask(1)  # `cma` demands it between two tells; what it gives is not used
    strategy.tell(
        [np.array(row[1:]) for row in rows], [-row[0] for row in rows], check_points=False
    )
    widest = float(np.max(strategy.stds))
    strategy.sigma *= min(max(widest, LEAST_DEVIATION), GREATEST_DEVIATION) / widest
    return strategy


def _new(size: int, members: int) -> cma.CMAEvolutionStrategy:
    return cma.CMAEvolutionStrategy(
        [0.0] * size,
        1.0,
        {
            # Mirrors are told apart by what was asked; here only what was drawn is known.
            "CMA_mirrors": 0,
            "popsize": members,
            "randn": SeededNormal(),
            "seed": np.nan,
            "verbose": -9,
            "verb_disp": 0,
            "verb_log": 0,
        },
    )


_STRATEGIES: OrderedDict[tuple[int, int, tuple[Rows, ...]], cma.CMAEvolutionStrategy] = (
    OrderedDict()
)
"""The last strategies made, by size, members and history; a memory of a pure function."""


def build(space: SearchSpace, settings: PolicySettings) -> EvolutionPolicy:
    """CMA-ES over a space, from the start and deviations of the settings."""
    return EvolutionPolicy(start=learning_start(settings, space), mean_bounds=space.mean_bounds)
