"""Closed rounds for tests of policies: draws and rewards become what `update` takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lfs_ray.search.policy import Policy
from lfs_ray.search.rewards import advantages
from lfs_ray.search.space import SearchSpace
from lfs_ray.search.state import FinishedRound, PolicyState

Floats = NDArray[np.float64]


def closed_round(
    space: SearchSpace, draws: object, rewards: object, shaping: str = "std"
) -> FinishedRound:
    """One round whose members drew and earned this; NaN: failed."""
    rewards_B = np.asarray(rewards, dtype=np.float64).ravel()
    draws_BD = np.asarray(draws, dtype=np.float64).reshape(len(rewards_B), -1)
    return FinishedRound(
        draws_BD=draws_BD,
        thetas_BD=space.project(draws_BD),
        rewards_B=rewards_B,
        advantages_B=advantages(rewards_B, shaping),
    )


def searched(
    policy: Policy,
    space: SearchSpace,
    reward: Callable[[Floats], Floats],
    *,
    rounds: int,
    members: int = 4,
    seed: int = 0,
) -> list[PolicyState]:
    """States before each round and after the last; `reward` maps thetas (B, D) to (B,)."""
    states = [policy.initial_state()]
    for number in range(rounds):
        draws_BD = policy.sample(states[-1], 1000 * seed + number, members)
        rewards_B = reward(space.project(draws_BD))
        states.append(policy.update(states[-1], closed_round(space, draws_BD, rewards_B)))
    return states
