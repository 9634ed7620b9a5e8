"""TPE (Bergstra et al., NeurIPS 2011): Bayesian search by the ratio of two density estimates.

Place in the data flow: as every policy. The work is done by optuna (ask and tell), which is an
optional extra: `pip install lfs-ray[optuna]`; `policy` imports this module only when it is asked
for. The state holds the last rounds as (advantage, draw); every round a study is made of them.

The value of a trial is its advantage, not its reward, which rises while the model learns. Hence
the window too: what was good long ago need not be so now. All draws lie in a finite box.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from lfs_ray.errors import ConfigError
from lfs_ray.search.form import Floats, Vector
from lfs_ray.search.grid import uniform_deviations
from lfs_ray.search.space import SearchSpace
from lfs_ray.search.state import (
    FinishedRound,
    PolicySettings,
    PolicyState,
    Rows,
    learning_start,
)

try:
    import optuna
except ImportError:
    FOUND = False
else:
    FOUND = True
    optuna.logging.set_verbosity(optuna.logging.WARNING)

WINDOW_TRIALS = 64
"""Trials that are remembered: the newest rounds that hold so many."""
STARTUP_TRIALS = 10
"""Finished trials before which draws are uniform; optuna's default."""
GOOD_SHARE = 0.25
"""Share of the remembered trials, the best, whose draws make the policy's mean and deviation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParzenPolicy:
    """TPE over a box, all components together."""

    start: PolicyState
    low: Vector
    high: Vector
    learns: bool = True
    needs_selection: bool = True

    def initial_state(self) -> PolicyState:
        """The state before the first round: the start, draws uniform over the box."""
        return replace(self.start, std=uniform_deviations(self.low, self.high))

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """Draws (n, D) that promise much; the first k of n are those of n = k."""
        axes: dict[str, optuna.distributions.BaseDistribution] = {
            f"x{j}": optuna.distributions.FloatDistribution(low, high)
            for j, (low, high) in enumerate(zip(self.low, self.high, strict=True))
        }
        study = optuna.create_study(sampler=_sampler(seed), direction="maximize")
        study.add_trials(
            [
                optuna.trial.create_trial(
                    value=row[0], params=dict(zip(axes, row[1:], strict=True)), distributions=axes
                )
                for rows in state.history
                for row in rows
            ]
        )
        asked = [study.ask(axes).params for _ in range(n)]
        return np.array([[params[axis] for axis in axes] for params in asked], dtype=np.float64)

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """The state after one more round; unchanged if it tells nothing."""
        if finished.tells_nothing():
            return state
        history = _newest((*state.history, finished.rows()))
        good_ND = _good(history)
        least_D = np.asarray(uniform_deviations(self.low, self.high)) * 1e-3
        return replace(
            state,
            mean=tuple(good_ND.mean(axis=0).tolist()),
            std=tuple(np.maximum(good_ND.std(axis=0), least_D).tolist()),
            step=state.step + 1,
            history=history,
        )


def _sampler(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        # Some versions of optuna call these two arguments experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed % 2**32,
            multivariate=True,
            constant_liar=True,
            n_startup_trials=STARTUP_TRIALS,
        )


def _newest(history: tuple[Rows, ...]) -> tuple[Rows, ...]:
    while sum(map(len, history[1:])) >= WINDOW_TRIALS:
        history = history[1:]
    return history


def _good(history: tuple[Rows, ...]) -> Floats:
    rows = sorted((row for rows in history for row in rows), reverse=True)
    return np.array(rows[: max(1, round(GOOD_SHARE * len(rows)))])[:, 1:]


def build(space: SearchSpace, settings: PolicySettings) -> ParzenPolicy:
    """TPE over the bounds of a space, or five sigma around the start where it has none.

    Raises:
        ConfigError: optuna is not installed, or settings that cannot be used, one line each.
    """
    if not FOUND:
        raise ConfigError("policy tpe needs optuna; found none: pip install lfs-ray[optuna]")
    start = learning_start(settings, space)
    low, high = space.span(start.mean, start.std)
    return ParzenPolicy(start=start, low=low, high=high)
