"""Top-k accuracy of class scores.

After a classifier's scores of labelled images. A target is among the first k when fewer than k
classes score higher, or equal with a smaller class number: ties go to the smaller number, as a
stable sort by falling score would have it. (scikit-learn's `top_k_accuracy_score` gives ties to
the larger number.)

Shapes: N images, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

_BLOCK_SCORES = 4_000_000


def target_ranks(logits_NC: ArrayLike, target_N: ArrayLike) -> NDArray[np.int64]:
    """Rank of each image's class among all, 1 for the first, (N,).

    Args:
        logits_NC: class scores, finite.
        target_N: class numbers, integers in 0..C-1.

    Raises:
        DataError: shapes don't fit, a score is not finite, a class number is out of range.

    >>> target_ranks([[0.1, 0.9, 0.9]], [2]).tolist()
    [2]
    """
    logits, target = np.asarray(logits_NC), np.asarray(target_N)
    _check(logits, target)
    step = max(_BLOCK_SCORES // logits.shape[1], 1)
    blocks = [slice(start, start + step) for start in range(0, len(logits), step)]
    return np.concatenate([_ranks(logits[block], target[block]) for block in blocks])


def top_k_accuracy(logits_NC: ArrayLike, target_N: ArrayLike, k: int) -> float:
    """Share of images whose class is among the first k, in [0, 1]; errors of `target_ranks`.

    >>> top_k_accuracy([[0.1, 0.9], [0.8, 0.2]], [0, 0], 1)
    0.5
    """
    return float(np.mean(target_ranks(logits_NC, target_N) <= k))


def _ranks(logits_BC: NDArray[np.floating], target_B: NDArray[np.int64]) -> NDArray[np.int64]:
    own_B1 = np.take_along_axis(logits_BC, target_B[:, None], axis=1)
    before_BC = np.arange(logits_BC.shape[1]) < target_B[:, None]
    higher_BC = (logits_BC > own_B1) | (before_BC & (logits_BC == own_B1))
    return np.asarray(1 + np.count_nonzero(higher_BC, axis=1), np.int64)


def _check(logits: NDArray[np.generic], target: NDArray[np.generic]) -> None:
    if logits.ndim != 2 or target.shape != logits.shape[:1] or logits.size == 0:
        raise DataError(
            f"class scores must be (images, classes) with one class number an image, found "
            f"shapes {logits.shape} and {target.shape}"
        )
    if not np.isfinite(logits).all():
        place = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
        raise DataError(f"class scores must be finite, found NaN or infinity for image {place}")
    if target.dtype.kind not in "iu" or target.min() < 0 or target.max() >= logits.shape[1]:
        raise DataError(
            f"class numbers must be integers in 0..{logits.shape[1] - 1}, found {target.dtype} "
            f"from {target.min()} to {target.max()}"
        )
