"""Methods side by side on one report set: the decisions of each seed's chosen model.

Between a finished comparison's scores and its statistics. A method's seeds share, index by
index, data order and initial weights with the other methods' seeds, and all models share the
pairs; what follows (`comparison`, `corrections`) pairs them accordingly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodScores:
    """One method's models, one a seed, as the reward set chose them."""

    method: str
    correct_SP: Bools
    """Whether each seed's model decided each pair of the report set rightly (S, P)."""
    reward_S: Floats
    """Reward of each seed's model, on the reward set (S,)."""
    is_baseline: bool = False
    """Whether the method may be the one that the others are compared with."""
    restarts: int = 1
    """Lineages trained a seed, of which the reward set chose one."""
    lineage_epochs: float = math.nan
    """Epochs that a chosen model was trained for."""
    trained_epochs: float = math.nan
    """Epochs trained a seed, over all members and restarts: the budget."""
    margin: float = math.nan
    """Equivalent margin of the loss at the end, where it has one."""

    def __post_init__(self) -> None:
        if np.ndim(self.correct_SP) != 2 or not np.size(self.correct_SP):
            raise DataError(
                f"decisions must be a table of seeds by pairs, found shape "
                f"{np.shape(self.correct_SP)} for method {self.method!r}: check its scores"
            )
        if np.shape(self.reward_S) != (len(self.correct_SP),):
            raise DataError(
                f"each seed must have one reward, found {np.size(self.reward_S)} rewards and "
                f"{len(self.correct_SP)} seeds for method {self.method!r}: check its trials"
            )

    @property
    def accuracy_S(self) -> Floats:
        """Mean accuracy of each seed's model, 0 to 1."""
        return np.asarray(np.mean(self.correct_SP, axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSet:
    """All methods over the pairs of one report set."""

    name: str
    methods: tuple[MethodScores, ...]
    first_identity_P: NDArray[np.generic]
    second_identity_P: NDArray[np.generic]

    def __post_init__(self) -> None:
        if not self.methods:
            raise DataError(f"report set {self.name!r} must have methods, found none: add one")
        names = [scores.method for scores in self.methods]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"methods of report set {self.name!r} must have names of their own, found "
                f"{', '.join(map(repr, twice))} twice: rename one"
            )
        wanted = len(self.methods[0].correct_SP), len(self.first_identity_P)
        if len(self.second_identity_P) != wanted[1]:
            raise DataError(
                f"both sides of the pairs of report set {self.name!r} must have identities, found "
                f"{wanted[1]} first and {len(self.second_identity_P)} second: check its scores"
            )
        for scores in self.methods:
            if scores.correct_SP.shape != wanted:
                raise DataError(
                    f"methods of report set {self.name!r} must share {wanted[0]} seeds and "
                    f"{wanted[1]} pairs, found {scores.correct_SP.shape} for {scores.method!r}: "
                    "leave out the seeds that some method lacks"
                )

    @property
    def num_seeds(self) -> int:
        """Number of seeds, the same for all methods."""
        return len(self.methods[0].correct_SP)

    @property
    def accuracy_MS(self) -> Floats:
        """Mean accuracy of each method and seed, 0 to 1."""
        return np.stack([scores.accuracy_S for scores in self.methods])


def best_baseline(methods: tuple[MethodScores, ...]) -> int:
    """Index of the baseline with the highest mean reward; of equals the first.

    The report set has no say: the best of several on the set one reports is too good by chance.
    NaN rewards (a seed that has not finished) put a baseline last.

    Raises:
        DataError: no method is a baseline.
    """
    candidates = [index for index, scores in enumerate(methods) if scores.is_baseline]
    if not candidates:
        raise DataError(
            f"a comparison must have a baseline, found none among "
            f"{', '.join(scores.method for scores in methods)}: add one"
        )
    rewards = [float(np.mean(methods[index].reward_S)) for index in candidates]
    return candidates[int(np.argmax(np.nan_to_num(rewards, nan=-np.inf)))]
