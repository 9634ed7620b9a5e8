"""Gaussian policies: independent normals whose mean, and deviation, may learn by REINFORCE.

Place in the data flow: state -> `sample` -> draws; finished members -> `update` -> next state.
Wang et al., ICML 2020, Algorithm 1: mean += Adam((1/B) sum_i A_i grad ln g(x_i; mean, sigma)).

The score is that of the number really drawn, x, before the space projects it: (x - mean)/sigma^2.
What the projection does to x, clip or -abs, is a part of the reward as a function of x, so the
gradient is unbiased for either. (The score of the folded u = abs(x) is the mean of this one given
u: also unbiased, a little less noisy, and tied to one projection. The released code puts -abs(x)
into the density of x: the gradient of nothing, and in the wrong direction for a positive mean.)

Where deviations learn, it is ln sigma that does, by its own score ((x - mean)/sigma)^2 - 1.
Antithetic members come in pairs mean + e, mean - e (Sehnke et al., Neural Networks 2010, PGPE with
symmetric sampling). Over a whole pair the scores sum to (A+ - A-) e / sigma^2 for the mean, so
that a common change of both rewards cancels; of a pair that lost a member the other still counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lfs_ray.search.adam import Adam
from lfs_ray.search.form import Floats, Vector
from lfs_ray.search.state import FinishedRound, PolicyState


@dataclass(frozen=True, kw_only=True, slots=True)
class LearntDeviation:
    """How the deviations learn."""

    learning_rate: float
    """Step of Adam on ln sigma."""
    least: float
    """Least deviation, in units of the first one."""
    greatest: float
    """Greatest deviation, in units of the first one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianPolicy:
    """Normal draws around a mean that learns (`learns`) or stays where it started."""

    start: PolicyState
    learning_rate: Vector
    betas: tuple[float, float]
    epsilon: float
    mean_bounds: tuple[Vector, Vector]
    """The mean is clipped to these after each step; draws are not."""
    learns: bool
    needs_selection: bool
    antithetic: bool = False
    """Members 2 k and 2 k + 1 are mirror images; the last of an odd number draws the mean."""
    deviation: LearntDeviation | None = None
    """None: the deviation stays what it was."""

    def initial_state(self) -> PolicyState:
        """The state before the first round."""
        if self.deviation is None:
            return self.start
        twice = self.start.first_moment * 2
        return replace(self.start, first_moment=twice, second_moment=twice)

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """Draws (n, D) of N(mean, std); the first k of n are those of n = k.

        Antithetic ones are so for an even k.
        """
        normal_ND = self._normal(np.random.default_rng(seed), n, len(state.mean))
        return np.asarray(state.mean) + np.asarray(state.std) * normal_ND

    def _normal(self, generator: np.random.Generator, n: int, size: int) -> Floats:
        if not self.antithetic:
            return generator.standard_normal((n, size))
        half_ND = generator.standard_normal((n // 2, size))
        mirrored_ND = np.stack((half_ND, -half_ND), axis=1).reshape(-1, size)
        return np.concatenate((mirrored_ND, np.zeros((n % 2, size))))

    def log_prob(self, state: PolicyState, draws_ND: Floats) -> Floats:
        """Log density (N,) of draws (N, D), before projection; antithetic: of each by itself."""
        std = np.asarray(state.std)
        standard_ND = (draws_ND - np.asarray(state.mean)) / std
        each_ND = -0.5 * standard_ND**2 - np.log(std) - 0.5 * math.log(2.0 * math.pi)
        return np.asarray(each_ND.sum(axis=-1))

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """One step of Adam up the policy gradient.

        The state stays as it is, moments included, if the policy doesn't learn or the round tells
        nothing: fewer than two finished members, or none better than another.
        """
        if not self.learns or finished.tells_nothing():
            return state
        draws_BD = finished.draws_BD[finished.kept]
        advantages_B = finished.advantages_B[finished.kept]
        gradient = mean_gradient(state.mean, state.std, draws_BD, advantages_B)
        if self.deviation is not None:
            gradient += _deviation_gradient(state, draws_BD, advantages_B)
        return self._ascend(state, gradient)

    def _ascend(self, state: PolicyState, gradient: list[float]) -> PolicyState:
        step = state.step + 1
        moves, first, second = self._adam().moves(
            state.first_moment, state.second_moment, gradient, step
        )
        size = len(state.mean)
        return PolicyState(
            mean=clipped(state.mean, moves[:size], self.mean_bounds),
            std=self._deviations(state.std, moves[size:]),
            first_moment=first,
            second_moment=second,
            step=step,
        )

    def _adam(self) -> Adam:
        rates = self.learning_rate
        if self.deviation is not None:
            rates += (self.deviation.learning_rate,) * len(rates)
        return Adam(learning_rate=rates, betas=self.betas, epsilon=self.epsilon)

    def _deviations(self, std: Vector, moves: Vector) -> Vector:
        if self.deviation is None:
            return std
        least, greatest = self.deviation.least, self.deviation.greatest
        return tuple(
            min(max(now * math.exp(move), least * first), greatest * first)
            for now, move, first in zip(std, moves, self.start.std, strict=True)
        )


def mean_gradient(
    mean: Vector, std: Vector, draws_BD: Floats, advantages_B: Floats
) -> list[float]:
    """(1/B) sum_i A_i (x_i - mean) / sigma^2, D numbers; exact sums: no order of members shows."""
    mean_D, std_D = np.asarray(mean), np.asarray(std)
    return _averages(advantages_B[:, None] * (draws_BD - mean_D) / (std_D * std_D))


def _deviation_gradient(state: PolicyState, draws_BD: Floats, advantages_B: Floats) -> list[float]:
    """(1/B) sum_i A_i (((x_i - mean) / sigma)^2 - 1), D numbers, along ln sigma."""
    standard_BD = (draws_BD - np.asarray(state.mean)) / np.asarray(state.std)
    return _averages(advantages_B[:, None] * (standard_BD * standard_BD - 1.0))


def _averages(terms_BD: Floats) -> list[float]:
    return [math.fsum(column) / len(terms_BD) for column in terms_BD.T.tolist()]


def clipped(mean: Vector, moves: Vector, bounds: tuple[Vector, Vector]) -> Vector:
    """The mean after its moves, back inside its bounds.

    Far beyond a bound all draws would be clipped to one theta and nothing could be learned. On it,
    half of the draws still differ, and their score leads back inside: it is no trap.
    """
    return tuple(
        min(max(mu + move, low), high)
        for mu, move, low, high in zip(mean, moves, *bounds, strict=True)
    )
