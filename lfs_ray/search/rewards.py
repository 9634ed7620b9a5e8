"""Reward shaping: the rewards of one round's members become the weights of the policy gradient.

Place in the data flow: rewards of a closed round -> `advantages` -> policy.update and trial table.

A member that failed has a reward that is NaN (or not finite). It is masked: it takes no part in
mean, spread or rank, and its advantage is NaN: a failed member equals an absent one, bit for bit.
Sums are exact (math.fsum), so that neither the order of the members nor the machine's vector width
shows. Rewards of different rounds are never compared: the model improves between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import ConfigError

Floats = NDArray[np.float64]
Shaping = Callable[[Floats, float], Floats]

DEFAULT_FLOOR = 1e-4
"""Least deviation that `std` divides by: just above that of four members of which one decides one
pair of 6,000 differently (7e-5), so that such a difference is not blown up to a whole unit. From
1e-6 to 2e-3 the floor changes by under one percent how often the planted optima of
`shift_forms._defaults_of_margin` are found."""

RANGE_EPSILON = 1e-6


def shape_std(rewards_B: Floats, floor: float) -> Floats:
    """(R - mean) / max(std, floor), with the population's standard deviation."""
    centred_B = shape_centre(rewards_B, floor)
    std = math.sqrt(math.fsum((centred_B * centred_B).tolist()) / len(centred_B))
    return centred_B / max(std, floor)


def shape_centre(rewards_B: Floats, floor: float) -> Floats:
    """R - mean; exactly zero where all rewards are equal, which a rounded mean would not give."""
    if rewards_B.min() == rewards_B.max():
        return np.zeros_like(rewards_B)
    return rewards_B - math.fsum(rewards_B.tolist()) / len(rewards_B)


def shape_range(rewards_B: Floats, floor: float) -> Floats:
    """2 (R - mean) / (max - min + 1e-6), the released code's; `floor` plays no part."""
    spread = float(rewards_B.max() - rewards_B.min())
    return 2.0 * shape_centre(rewards_B, floor) / (spread + RANGE_EPSILON)


def shape_rank(rewards_B: Floats, floor: float) -> Floats:
    """Ranks, centred and scaled to [-1, 1]; equal rewards share their mean rank."""
    ordered_B = np.sort(rewards_B)
    below_B = np.searchsorted(ordered_B, rewards_B, side="left")
    not_above_B = np.searchsorted(ordered_B, rewards_B, side="right")
    beaten_less_beating_B = below_B + not_above_B - len(rewards_B)
    return beaten_less_beating_B / max(len(rewards_B) - 1, 1)


SHAPINGS: dict[str, Shaping] = {
    "std": shape_std,
    "centre": shape_centre,
    "range": shape_range,
    "rank": shape_rank,
}


def advantages(
    rewards_B: Sequence[float] | Floats, shaping: str = "std", floor: float = DEFAULT_FLOOR
) -> Floats:
    """Advantages of one round's members.

    Args:
        rewards_B: one reward a member, larger is better; NaN or infinite where a member failed.
        shaping: a key of SHAPINGS.
        floor: least deviation, in units of the reward; only `std` uses it.

    Returns:
        (B,) float64; NaN where the reward is not finite; the others sum to zero.

    Raises:
        ConfigError: no such shaping, or a floor that isn't positive.
    """
    if shaping not in SHAPINGS:
        raise ConfigError(
            f"the reward shaping must be one of {', '.join(SHAPINGS)}; found {shaping!r}"
        )
    if not floor > 0.0:
        raise ConfigError(f"the floor of the reward deviation must be positive; found {floor}")
    rewards = np.asarray(rewards_B, dtype=np.float64)
    shaped = np.full(rewards.shape, np.nan)
    finished = np.isfinite(rewards)
    if finished.any():
        shaped[finished] = SHAPINGS[shaping](rewards[finished], floor)
    return shaped
