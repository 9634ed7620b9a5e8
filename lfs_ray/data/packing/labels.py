"""Labels of a source to 0 to C-1 without gaps; the names keep what they were.

Data flow: labels as a format has them -> here -> labels and class names of its source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Labels of a source and the names of its classes."""

    labels: NDArray[np.int32]
    """Label of each image, 0 to C-1, (N,)."""
    names: list[str]
    """Name of each class, C of them: the original label as text."""
    renumbered: bool
    """Whether the labels were not 0 to C-1 without gaps."""


def renumber(labels: NDArray[np.int64]) -> Classes:
    """Classes of integer labels, in the order of their numbers."""
    present, places = np.unique(labels, return_inverse=True)
    changed = bool(len(present)) and int(present[-1]) != len(present) - 1
    return Classes(places.astype(np.int32), [str(label) for label in present.tolist()], changed)
