"""Gaussian policy: independent normals of fixed deviation, whose mean may learn by REINFORCE.

Place in the data flow: state -> `sample` -> draws; finished members -> `update` -> next state.
Wang et al., ICML 2020, Algorithm 1: mean += Adam((1/B) sum_i A_i grad ln g(x_i; mean, sigma)).

The score is that of the number really drawn, x, before the space projects it: (x - mean)/sigma^2.
What the projection does to x, clip or -abs, is a part of the reward as a function of x, so the
gradient is unbiased for either. (The score of the folded u = abs(x) is the mean of this one given
u: also unbiased, a little less noisy, and tied to one projection. The released code puts -abs(x)
into the density of x: the gradient of nothing, and in the wrong direction for a positive mean.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.search.state import FinishedRound, PolicyState

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianPolicy:
    """Normal draws around a mean that learns (`learns`) or stays where it started."""

    start: PolicyState
    learning_rate: float
    betas: tuple[float, float]
    epsilon: float
    mean_bounds: tuple[float, float]
    """The mean is clipped to these after each step; draws are not."""
    learns: bool
    needs_selection: bool

    def initial_state(self) -> PolicyState:
        """The state before the first round."""
        return self.start

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """Draws (n, D) of N(mean, std); the first k of n are those of n = k."""
        normal_ND = np.random.default_rng(seed).standard_normal((n, len(state.mean)))
        return np.asarray(state.mean) + np.asarray(state.std) * normal_ND

    def log_prob(self, state: PolicyState, draws_ND: Floats) -> Floats:
        """Log density (N,) of draws (N, D), before projection."""
        std = np.asarray(state.std)
        standard_ND = (draws_ND - np.asarray(state.mean)) / std
        each_ND = -0.5 * standard_ND**2 - np.log(std) - 0.5 * math.log(2.0 * math.pi)
        return np.asarray(each_ND.sum(axis=-1))

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """One step of Adam up the policy gradient.

        The state stays as it is, moments included, if the policy doesn't learn or the round tells
        nothing: fewer than two finished members, or none better than another.
        """
        kept = np.isfinite(finished.advantages_B)
        advantages_B = finished.advantages_B[kept]
        if not self.learns or len(advantages_B) < 2 or not advantages_B.any():
            return state
        gradient = _policy_gradient(state, finished.draws_BD[kept], advantages_B)
        return self._ascend(state, gradient)

    def _ascend(self, state: PolicyState, gradient: list[float]) -> PolicyState:
        """Adam (Kingma and Ba, 2015, Algorithm 1) upwards, then the mean back into its bounds.

        Far beyond a bound all draws would be clipped to one theta and nothing could be learned. On
        it, half of the draws still differ, and their score leads back inside: it is no trap.
        """
        beta1, beta2 = self.betas
        step = state.step + 1
        first = _decayed(state.first_moment, gradient, beta1)
        second = _decayed(state.second_moment, [g * g for g in gradient], beta2)
        low, high = self.mean_bounds
        mean = []
        for mu, m, v in zip(state.mean, first, second, strict=True):
            slope = m / (1.0 - beta1**step)
            size = math.sqrt(v / (1.0 - beta2**step)) + self.epsilon
            mean.append(min(max(mu + self.learning_rate * slope / size, low), high))
        return PolicyState(
            mean=tuple(mean), std=state.std, first_moment=first, second_moment=second, step=step
        )


def _policy_gradient(state: PolicyState, draws_BD: Floats, advantages_B: Floats) -> list[float]:
    """(1/B) sum_i A_i (x_i - mean) / sigma^2, D numbers; exact sums: no order of members shows."""
    mean, std = np.asarray(state.mean), np.asarray(state.std)
    terms_BD = advantages_B[:, None] * (draws_BD - mean) / (std * std)
    return [math.fsum(column) / len(advantages_B) for column in terms_BD.T.tolist()]


def _decayed(moment: tuple[float, ...], new: list[float], beta: float) -> tuple[float, ...]:
    return tuple(beta * m + (1.0 - beta) * x for m, x in zip(moment, new, strict=True))
