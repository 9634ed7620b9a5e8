"""Views of an image to one unit embedding, first step of an evaluation.

Raw backbone outputs come in, of the image and, with a flip test, of its left-right mirror;
`verification` takes what goes out. The flip is named in every result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

NUM_VIEWS = {"none": 1, "sum": 2}
"""Flips by name, with the number of views each needs: the image alone, or with its mirror."""


def combine_views(*views_ND: ArrayLike, flip: str) -> NDArray[np.float64]:
    """Sum of the raw views, L2-normalised in float64; a zero row stays zero.

    Raw embeddings are summed, so each view counts by its own norm (rule `insightface`,
    deepinsight/insightface); the mean of unit vectors is another rule.

    Args:
        views_ND: raw embeddings of the image, then of its mirror; each (N, D).
        flip: a name in NUM_VIEWS.

    Returns:
        Unit rows, (N, D).

    Raises:
        DataError: an embedding is not finite.
        ValueError: the number of views is not the flip's, or their shapes differ.

    >>> combine_views([[3.0, 0.0]], [[0.0, 4.0]], flip="sum")
    array([[0.6, 0.8]])
    """
    if len(views_ND) != NUM_VIEWS[flip]:
        raise ValueError(f"flip {flip} needs {NUM_VIEWS[flip]} views, got {len(views_ND)}")
    views_VND = np.array(views_ND, dtype=np.float64)
    if views_VND.ndim != 3:
        raise ValueError(f"views must have shape (N, D), got {views_VND.shape[1:]}")
    _check_finite(views_VND)
    return unit_rows(views_VND.sum(axis=0))


def unit_rows(raw_ND: ArrayLike) -> NDArray[np.float64]:
    """Rows divided by their length, in float64; a zero row stays zero."""
    rows_ND = np.asarray(raw_ND, np.float64)
    norm_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return np.asarray(rows_ND / np.where(norm_N1 == 0, 1, norm_N1))


def _check_finite(views_VND: NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~np.isfinite(views_VND).all(axis=(0, 2)))
    if bad.size:
        raise DataError(
            f"embeddings must be finite, found NaN or infinity for image {bad[0]} "
            f"({bad.size} of {views_VND.shape[1]} images): check the weights and the precision"
        )
