"""Six thousand pairs in closed form, for golden values, and random ones with ties."""

from __future__ import annotations

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def golden_pairs() -> Arrays:
    """Scores, truth and folds of 6000 pairs, in closed form."""
    pair = np.arange(6000)
    same = pair % 600 < 300
    alike = 0.5 + 0.3 * np.sin(1.3 * pair)
    unlike = 0.05 + 0.25 * np.sin(2.1 * pair + 0.5) + 0.05 * np.cos(0.013 * pair)
    return np.where(same, alike, unlike), same, pair // 600


def random_pairs(seed: int, decimals: int, sizes: list[int]) -> Arrays:
    """Overlapping scores of folds of the given sizes, with ties from rounding."""
    generator = np.random.default_rng(seed)
    fold = np.repeat(np.arange(len(sizes)), sizes)
    same = generator.random(len(fold)) < 0.5
    score = np.clip(generator.normal(np.where(same, 0.4, 0.1), 0.2), -1, 1)
    return np.round(score, decimals), same, fold
