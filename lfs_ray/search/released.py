"""The policy of the released code of Search-Softmax, defect by defect, so each can be measured.

Place in the data flow: as `gaussian`, for policies whose settings name one of SWITCHES:

    selection_only        the means pass a ReLU, whose gradient is 0 at 0, and start at 0: they
                          never move, and draws come from the same distribution in all rounds
    unfolded_score        theta = -abs(x) goes into the density of x: score (theta - mean)/sigma^2
    ten_component_policy  ten means are drawn and learn, of which a global loss uses the first

About the code that came with Wang et al., ICML 2020; its Adam (rate 0.05, betas 0.5 and 0.999) is
the default of the released spaces. The nine unused means touch nothing that is executed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np

from lfs_ray.errors import ConfigError
from lfs_ray.search.adam import Adam
from lfs_ray.search.form import Floats, Vector
from lfs_ray.search.gaussian import GaussianPolicy, clipped, mean_gradient
from lfs_ray.search.space import SearchSpace
from lfs_ray.search.state import FinishedRound, PolicyState

SWITCHES = ("selection_only", "unfolded_score", "ten_component_policy")
COMPONENTS = 10
FREE = (-np.inf, np.inf)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedPolicy:
    """REINFORCE on the mean with some of the released code's defects."""

    honest: GaussianPolicy
    """The same policy without them."""
    switches: frozenset[str]
    learns: bool = True
    needs_selection: bool = True

    @property
    def size(self) -> int:
        """Numbers in a draw; the means may be more."""
        return len(self.honest.start.mean)

    def initial_state(self) -> PolicyState:
        """The state before the first round, with ten components where they were asked for."""
        start = self.honest.start
        if "ten_component_policy" not in self.switches:
            return start
        zeros = (0.0,) * COMPONENTS
        # The unused means start at 0, wherever the first one does.
        return PolicyState(
            mean=start.mean + zeros[1:],
            std=start.std * COMPONENTS,
            first_moment=zeros,
            second_moment=zeros,
        )

    def sample(self, state: PolicyState, seed: int, n: int) -> Floats:
        """Draws (n, D) of what the loss reads; the first k of n are those of n = k."""
        return self.honest.sample(self._executed(state), seed, n)

    def _executed(self, state: PolicyState) -> PolicyState:
        mean = state.mean[: self.size]
        if "selection_only" in self.switches:
            mean = tuple(max(mu, 0.0) for mu in mean)
        return replace(state, mean=mean, std=state.std[: self.size])

    def update(self, state: PolicyState, finished: FinishedRound) -> PolicyState:
        """One step of Adam along the gradient as the released code has it."""
        if finished.tells_nothing():
            return state
        gradient = self._gradient(state, finished) + self._unused_gradient(state, finished)
        step = state.step + 1
        moves, first, second = self._adam(len(gradient)).moves(
            state.first_moment, state.second_moment, gradient, step
        )
        mean = clipped(state.mean, moves, self._bounds(len(gradient)))
        return replace(state, mean=mean, first_moment=first, second_moment=second, step=step)

    def _gradient(self, state: PolicyState, finished: FinishedRound) -> list[float]:
        unfolded = "unfolded_score" in self.switches
        put_BD = (finished.thetas_BD if unfolded else finished.draws_BD)[finished.kept]
        drawn_from = self._executed(state)
        gradient = mean_gradient(
            drawn_from.mean, drawn_from.std, put_BD, finished.advantages_B[finished.kept]
        )
        if "selection_only" not in self.switches:
            return gradient
        return [g if mu > 0.0 else 0.0 for g, mu in zip(gradient, state.mean, strict=False)]

    def _unused_gradient(self, state: PolicyState, finished: FinishedRound) -> list[float]:
        mean, std = state.mean[self.size :], state.std[self.size :]
        if not mean:
            return []
        kept = finished.kept
        draws_BC = np.asarray(mean) + np.asarray(std) * _unused_normal(finished.draws_BD[kept])
        put_BC = 0.0 - np.abs(draws_BC) if "unfolded_score" in self.switches else draws_BC
        return mean_gradient(mean, std, put_BC, finished.advantages_B[kept])

    def _adam(self, size: int) -> Adam:
        honest = self.honest
        rates = (honest.learning_rate * size)[:size]
        return Adam(learning_rate=rates, betas=honest.betas, epsilon=honest.epsilon)

    def _bounds(self, size: int) -> tuple[Vector, Vector]:
        low, high = self.honest.mean_bounds
        unused = size - self.size
        return low + FREE[:1] * unused, high + FREE[1:] * unused


def _unused_normal(draws_B1: Floats) -> Floats:
    """Nine standard normals for each member, (B, 9): seeded by the bits of its own draw.

    Neither table nor state holds them, and yet they are the same whenever the round is replayed.
    """
    seeds = [struct.unpack("<Q", struct.pack("<d", draw))[0] for draw in draws_B1[:, 0].tolist()]
    return np.array(
        [np.random.default_rng(seed).standard_normal(COMPONENTS - 1) for seed in seeds]
    )


def check_switches(switches: frozenset[str], space: SearchSpace) -> None:
    """Check that these switches exist and mean something in this space.

    Raises:
        ConfigError: one line for each that doesn't.
    """
    mistakes = [
        f"compat of a policy must be among {', '.join(SWITCHES)}; found {name}"
        for name in sorted(switches - set(SWITCHES))
    ]
    if "unfolded_score" in switches and not space.form.folded:
        mistakes.append(
            f"compat unfolded_score needs a space whose theta is -abs(draw); found {space.name}"
        )
    if "ten_component_policy" in switches and space.size != 1:
        mistakes.append(f"compat ten_component_policy needs a space of size 1; found {space.size}")
    if mistakes:
        raise ConfigError(mistakes)
