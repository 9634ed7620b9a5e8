"""What metrics measure: plain arrays of a scored set, and the result of a metric.

Training and the evaluate command fill `Evidence`; `metrics` and its measures read it.

Shapes: N images, D dimensions, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.bootstrap import Contribution

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]

NEEDS = {
    "pairs": ("embeddings_ND", "identity_N", "first_P", "second_P", "same_P", "fold_P"),
    "labelled images": ("embeddings_ND", "identity_N"),
    "class ranks": ("identity_N", "class_rank_N"),
}
"""Kinds of evidence by name, with the arrays each consists of."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evidence:
    """A set of images, as far as it was scored; what a metric needs must be there."""

    embeddings_ND: Floats | None = None
    """Unit rows; a zero row is allowed."""
    identity_N: NDArray[np.generic] | None = None
    """Person (or class) on each image, integers or strings: the unit of resampling."""
    camera_N: NDArray[np.generic] | None = None
    """Camera of each image; None: the same-camera rule is off."""
    first_P: Indices | None = None
    second_P: Indices | None = None
    """Rows of both images of each pair."""
    same_P: NDArray[np.bool_] | None = None
    fold_P: Indices | None = None
    class_rank_N: Indices | None = None
    """Rank of each image's class among the classifier's (`classification.target_ranks`), from 1;
    its scores, images x classes, may be more than memory holds."""
    flip: str = "none"
    """How views were combined (`embedding.NUM_VIEWS`); only noted in results."""

    def require(self, kind: str, metric: str) -> None:
        """Check that the arrays of a kind are there.

        Raises:
            DataError: one is missing.
        """
        missing = [name for name in NEEDS[kind] if getattr(self, name) is None]
        if missing:
            raise DataError(
                f"metric {metric} must have {kind}, found no {', '.join(missing)}: "
                f"give a set with {kind}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Value of a metric, and what its standard error is made of."""

    value: float
    """Larger is better."""
    contributions: tuple[Contribution, ...]
    """Means whose weighted sum moves as the value does when people are exchanged."""
    parts: tuple[tuple[str, float], ...]
    """Name and value of each single metric, before weighting."""
    notes: tuple[str, ...] = ()
    """What should be read with the value, a line each."""
