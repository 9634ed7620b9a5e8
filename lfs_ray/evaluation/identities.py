"""Names of people as numbers, equal in several lists for one person.

Before comparisons of many pairs of names: numbers compare faster, and index arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def numbered(*names: ArrayLike) -> list[NDArray[np.int64]]:
    """Lists of names (integers or strings) as lists of numbers 0..n-1, by rank of the name.

    >>> [list(map(int, numbers)) for numbers in numbered(["b", "a"], ["c", "b"])]
    [[1, 0], [2, 1]]
    """
    lists = [np.asarray(given) for given in names]
    numbers = np.unique(np.concatenate(lists), return_inverse=True)[1].astype(np.int64)
    return np.split(numbers, np.cumsum([len(given) for given in lists])[:-1])
