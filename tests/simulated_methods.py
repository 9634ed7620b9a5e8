"""Report sets of simulated methods: decisions with all the sources of error of real ones.

A pair is decided rightly when a normal variable is above zero. It sums what is common to all
methods (the people, the pair, the seed) and what a method has of its own: with all seeds on a
person, with one seed on all pairs, with one seed on a person, and on each pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.trials.report_set import MethodScores, ReportSet

Floats = NDArray[np.float64]
PERSON_SD = 0.25
PAIR_SD = 0.5
COMMON_SEED_SD = 0.05


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Settings; deviations are of a variable with variance 1."""

    methods: int = 4
    baselines: int = 1
    seeds: int = 3
    people: int = 200
    pairs: int = 1000
    ease: float = 1.6
    """About 95 % right."""
    seed_sd: float = 0.1
    """A method at one seed, on all pairs."""
    seed_sd_factors: tuple[float, ...] = ()
    """Of the first methods; 1 for the rest."""
    person_sd: float = 0.1
    """A method at all seeds, on one person."""
    seed_person_sd: float = 0.1
    """A method at one seed, on one person."""
    shifts: tuple[float, ...] = ()
    """True advantages of the first methods; 0 for the rest."""
    luck_share: float = 0.9
    """Correlation of a seed's reward with what the seed does to the report set."""

    def draw(self, seed: int) -> ReportSet:
        """New people, pairs and training seeds."""
        generator = np.random.default_rng(seed)
        normal = generator.standard_normal
        first, second = self._pairs(generator)
        size_MS = self.methods, self.seeds
        person_MSN = PERSON_SD * normal(self.people) + (
            self.person_sd * normal((self.methods, 1, self.people))
            + self.seed_person_sd * normal((*size_MS, self.people))
        )
        luck_MS = normal(size_MS)
        deviation_M1 = self.seed_sd * self._filled(self.seed_sd_factors, 1.0)
        common = COMMON_SEED_SD * normal(self.seeds) + self._filled(self.shifts, 0.0)
        level_MS = self.ease + deviation_M1 * luck_MS + common
        latent = level_MS[:, :, None] + PAIR_SD * normal(self.pairs)
        latent += person_MSN[:, :, first] + np.where(first == second, 0, person_MSN[:, :, second])
        latent += self._rest(deviation_M1) * normal((*size_MS, self.pairs), dtype=np.float32)
        noise = np.sqrt(1 - self.luck_share**2) * normal(size_MS)
        rewards = self.luck_share * luck_MS + noise
        return ReportSet(
            name="simulated",
            methods=tuple(
                MethodScores(
                    method=f"method {index}",
                    correct_SP=latent[index] > 0,
                    reward_S=rewards[index],
                    is_baseline=index < self.baselines,
                )
                for index in range(self.methods)
            ),
            first_identity_P=first,
            second_identity_P=second,
        )

    def _pairs(self, generator: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
        """Half of one person, half of two."""
        first = generator.integers(0, self.people, self.pairs)
        other = (first + generator.integers(1, self.people, self.pairs)) % self.people
        return first, np.where(np.arange(self.pairs) < self.pairs // 2, first, other)

    def _filled(self, values: tuple[float, ...], default: float) -> Floats:
        rest = [default] * (self.methods - len(values))
        return np.array([*values, *rest])[:, None]

    def _rest(self, deviation_M1: Floats) -> Floats:
        """So that each method's variable has the same variance, and so the same accuracy."""
        people = 2 * (PERSON_SD**2 + self.person_sd**2 + self.seed_person_sd**2)
        return np.sqrt(1 - people - PAIR_SD**2 - deviation_M1[:, :, None] ** 2)
