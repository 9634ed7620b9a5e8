"""Scores of genuine and of impostor pairs, checked: what threshold measures work on.

After a protocol has scored its pairs, before `roc`. High means alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

Floats = NDArray[np.floating]


def two_classes(genuine_G: ArrayLike, impostor_I: ArrayLike) -> tuple[Floats, Floats]:
    """Both lists as sorted float arrays (G,) and (I,), ascending.

    Raises:
        DataError: a list is empty or a score is not finite.

    >>> two_classes([0.9, 0.2], [0.1])[0].tolist()
    [0.2, 0.9]
    """
    return _sorted(genuine_G, "genuine"), _sorted(impostor_I, "impostor")


def split_by_truth(scores_P: ArrayLike, same_P: ArrayLike) -> tuple[Floats, Floats]:
    """Scores of the same and of the different pairs, in order.

    Raises:
        DataError: lengths differ.
    """
    scores, same = np.asarray(scores_P), np.asarray(same_P).astype(np.bool_)
    if scores.ndim != 1 or scores.shape != same.shape:
        raise DataError(
            f"scores and truth must have one entry a pair, found shapes {scores.shape} and "
            f"{same.shape}: check the pair list"
        )
    return scores[same], scores[~same]


def _sorted(values: ArrayLike, name: str) -> Floats:
    scores = np.asarray(values)
    scores = scores if scores.dtype.kind == "f" else scores.astype(np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise DataError(
            f"there must be {name} pairs, found scores of shape {scores.shape}: a threshold "
            "measure compares pairs of one person with pairs of two"
        )
    scores = np.sort(scores)
    # NaN is sorted to the end, the infinities to both.
    if not (np.isfinite(scores[0]) and np.isfinite(scores[-1])):
        count = int(np.sum(~np.isfinite(scores)))
        raise DataError(
            f"{name} scores must be finite, found {count} of {scores.size} that are not: "
            "check the embeddings"
        )
    return scores
