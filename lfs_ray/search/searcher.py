"""What draws the thetas of a round and learns from its rewards: space, policy, shaping.

The policy's state is the fold of `learn` over the committed rounds: `replay` computes it again
from the trial table, so that the table is the checkpoint of the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from lfs_ray.errors import RunError
from lfs_ray.search.policy import FixedPolicy, Policy
from lfs_ray.search.rewards import advantages
from lfs_ray.search.state import FinishedRound, PolicyState
from lfs_ray.seeds import derive_seed

Row: TypeAlias = dict[str, object]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Lengths, seeds and limits of a population."""

    name: str
    seed: int
    members: int
    rounds: int
    round_epochs: float
    """Exact length of a round in passes over the training set."""
    warmup_rounds: int = 0
    """First rounds: one member (all, while they go on from themselves) under the warm-up theta,
    the policy at rest."""
    shared_batches: bool = True
    """Whether the members of a round see the same batches (common random numbers)."""
    own_weights_rounds: int = 0
    """First rounds in which a member continues from its own trial of the round before, the first
    time from initial weights of its own; after them all continue from the winner."""
    own_momentum: bool = False
    """Whether a member's momentum stays its own where its weights are the winner's."""
    lease_timeout_s: float = 60.0
    max_retries: int = 1
    """Exceptions of a trial that are followed by another try."""
    max_losses_per_trial: int = 20
    """Lost processes after which a trial fails; those that died with their node don't count."""
    backup_trials: bool = False
    """Whether a worker without work trains a second copy of the slowest open trial."""

    def trial_seed(self, number: int, member: int) -> int:
        """Seed of a trial; the same for all members that share their batches."""
        return derive_seed(self.seed, "trial", number, *self.own(member))

    def own(self, member: int) -> tuple[int, ...]:
        """What tells a member's seeds from others': nothing where they share batches."""
        return () if self.shared_batches else (member,)

    def init_seed(self, member: int) -> int:
        """Seed of the initial weights."""
        own = (member,) if self.own_weights_rounds else ()
        return derive_seed(self.seed, "init", *own)

    def stores_all(self, number: int) -> bool:
        """Whether all trials of a round are stored, since the next round's go on from them."""
        return self.own_momentum or number + 1 < self.own_weights_rounds


@dataclass(frozen=True, slots=True)
class Proposal:
    """Draws of a round, their thetas, and the margins these stand for."""

    draws_BD: Floats
    thetas: tuple[tuple[float, ...], ...]
    margins: tuple[float, ...]
    warmup: bool

    @property
    def size(self) -> int:
        """Number of trials in the round."""
        return len(self.thetas)


class Space(Protocol):
    """What a searcher asks of a search space."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of theta's components."""

    def project(self, draw_BD: Floats) -> Floats:
        """Thetas (B, D) of draws (B, D)."""

    def margin(self, theta_BD: Floats) -> Floats:
        """Equivalent margins (B,), NaN where there is none."""


@dataclass(frozen=True, slots=True)
class NoSpace:
    """The space of a hand-made loss: nothing to draw, one margin (NaN where there is none)."""

    fixed_margin: float
    names: tuple[str, ...] = ()

    def project(self, draw_BD: Floats) -> Floats:
        """The empty thetas, (B, 0)."""
        return draw_BD

    def margin(self, theta_BD: Floats) -> Floats:
        """The loss's own margin, (B,)."""
        return np.full(len(theta_BD), self.fixed_margin)


def no_policy() -> FixedPolicy:
    """The policy of a hand-made loss: every draw is empty."""
    return FixedPolicy(start=PolicyState(mean=(), std=(), first_moment=(), second_moment=()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Searcher:
    """Space, policy and shaping of a population."""

    method: str
    """Name of the policy, for the trial table."""
    space: Space
    policy: Policy
    shaping: str = "std"
    advantage_floor: float = 1e-4
    warmup_theta: tuple[float, ...] = ()
    script: tuple[tuple[float, ...], ...] = ()
    """Thetas of a replayed schedule, one a round; empty: the policy draws."""

    def initial_state(self) -> PolicyState:
        """The policy before any round."""
        return self.policy.initial_state()

    def margin_of(self, state: PolicyState) -> float:
        """Margin that the policy's mean stands for, NaN where there is none."""
        # A policy may carry more components than the space has: those of the released code.
        mean_1D = np.array([state.mean[: len(self.space.names)]], dtype=np.float64)
        return float(self.space.margin(self.space.project(mean_1D))[0])

    def propose(self, state: PolicyState, plan: Plan, number: int) -> Proposal:
        """Draw the round's thetas: a function of the state, the seed and the round alone."""
        warmup = number < plan.warmup_rounds
        if warmup:
            size = plan.members if number < plan.own_weights_rounds else 1
            draws_BD = np.array([self.warmup_theta] * size, dtype=np.float64)
        elif self.script:
            draws_BD = np.array([self.script[min(number, len(self.script) - 1)]], dtype=np.float64)
        else:
            seed = derive_seed(plan.seed, "draw", number)
            draws_BD = self.policy.sample(state, seed, plan.members)
        theta_BD = self.space.project(draws_BD)
        margins = self.space.margin(theta_BD)
        return Proposal(
            draws_BD=draws_BD,
            thetas=tuple(tuple(theta) for theta in theta_BD.tolist()),
            margins=tuple(margins.tolist()),
            warmup=warmup,
        )

    def learn(
        self, state: PolicyState, proposal: Proposal, rewards_B: Floats
    ) -> tuple[Floats, PolicyState]:
        """Advantages (B,), NaN for failed members, and the state after the update."""
        advantages_B = advantages(rewards_B, self.shaping, self.advantage_floor)
        if proposal.warmup:
            return advantages_B, state
        finished = FinishedRound(
            draws_BD=proposal.draws_BD,
            thetas_BD=np.array(proposal.thetas, dtype=np.float64),
            rewards_B=rewards_B,
            advantages_B=advantages_B,
        )
        return advantages_B, self.policy.update(state, finished)


def replay(
    plan: Plan, searcher: Searcher, rounds: Sequence[Sequence[Mapping[str, object]]]
) -> list[PolicyState]:
    """States of the policy before each of the closed rounds and after the last, from their rows.

    Raises:
        RunError: when a round's draws are not those that the configuration gives.
    """
    states = [searcher.initial_state()]
    for number, rows in enumerate(rounds):
        proposal = searcher.propose(states[-1], plan, number)
        ordered = sorted(rows, key=lambda row: cast(int, row["member"]))
        drawn = [[row[f"draw_{name}"] for name in searcher.space.names] for row in ordered]
        if not np.array_equal(np.array(cast(Any, drawn)), proposal.draws_BD):
            raise RunError(
                f"round {number} of population {plan.name} must hold the draws that its "
                f"configuration gives, found others: config.toml or the table was changed"
            )
        rewards_B = np.array([cast(float, row["reward"]) for row in ordered], dtype=np.float64)
        states.append(searcher.learn(states[-1], proposal, rewards_B)[1])
    return states
