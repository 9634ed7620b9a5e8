"""Folds of pairs given in order: consecutive blocks, no shuffling.

Data flow: number of pairs of a list or `.bin` set -> here -> fold of each -> `pairs`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOLDS = 10


def consecutive_folds(num_pairs: int, num_folds: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each pair, (num_pairs,): blocks in order, as scikit-learn's KFold deals them.

    The first num_pairs mod num_folds folds get one pair more.

    >>> consecutive_folds(8, 3).tolist()
    [0, 0, 0, 1, 1, 1, 2, 2]
    """
    size, larger = divmod(num_pairs, num_folds)
    sizes = np.full(num_folds, size)
    sizes[:larger] += 1
    return np.repeat(np.arange(num_folds), sizes)


def dealt_folds(same: NDArray[np.bool_], num_folds: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each pair, (P,): the k-th block of the same and of the different pairs make fold k.

    For lists that give all same pairs first (CALFW, CPLFW): as consecutive blocks, most folds
    would hold one kind only.

    >>> dealt_folds(np.array([True] * 4 + [False] * 4), 2).tolist()
    [0, 0, 1, 1, 0, 0, 1, 1]
    """
    fold = np.empty(len(same), np.int64)
    for kind in (True, False):
        members = np.flatnonzero(same == kind)
        fold[members] = consecutive_folds(len(members), num_folds)
    return fold
