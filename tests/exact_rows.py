"""Embeddings of small whole numbers: their dot products are exact, and often equal."""

from __future__ import annotations

import numpy as np


def exact_rows(seed: int, num: int, dimensions: int = 3, most: int = 2) -> np.ndarray:
    """Rows of integers in -most..most, as floats; products and ties are exact in any order."""
    generator = np.random.default_rng(seed)
    return generator.integers(-most, most + 1, (num, dimensions)).astype(np.float64)


def people(seed: int, num: int, count: int) -> np.ndarray:
    """`num` names of `count` people, some of them alone or absent."""
    names = np.array([f"person_{number}" for number in range(count)])
    return names[np.random.default_rng(seed).integers(0, count, num)]


def unit_people(seed: int, count: int, each: int, dimensions: int = 16) -> tuple:
    """Unit rows around a centre of each person, and the people, in order."""
    generator = np.random.default_rng(seed)
    identity = np.repeat(np.arange(count), each)
    centres = generator.normal(size=(count, dimensions))
    rows = centres[identity] + 0.8 * generator.normal(size=(count * each, dimensions))
    return rows / np.linalg.norm(rows, axis=1)[:, None], identity
