"""Rows of a matrix too large to hold, block by block.

Between a file of embeddings (an array, a memory-mapped one, or a generator of blocks) and the
protocols that multiply it with probes: `distractors`, `all_pairs`.

Shapes: N rows, D dimensions, B rows of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class BlockedRows:
    """N rows that come in blocks of any size, as often as asked for, always alike."""

    num_rows: int
    blocks: Callable[[], Iterable[Floats]]
    """Starts anew; blocks (B, D) in order."""


Rows = Floats | BlockedRows
"""An array (N, D), which may be memory-mapped, or blocks."""


def num_rows(rows: Rows) -> int:
    """N."""
    return rows.num_rows if isinstance(rows, BlockedRows) else len(rows)


def iterate(rows: Rows, size: int, stops: Sequence[int] = ()) -> Iterator[tuple[int, Floats]]:
    """Place of the first row and rows, in order; no block is larger than `size` or crosses a stop.

    Raises:
        DataError: a block is not a matrix or not finite, or there are not N rows.

    >>> [len(block) for _, block in iterate(np.zeros((7, 2)), 3, stops=[4])]
    [3, 1, 3]
    """
    given = rows.blocks() if isinstance(rows, BlockedRows) else (rows,)
    cuts = sorted({stop for stop in stops if stop > 0})
    place = 0
    for large in given:
        if large.ndim != 2:
            raise DataError(f"embeddings must be a matrix, found shape {large.shape}")
        start = 0
        while start < len(large):
            stop = min([start + size, len(large), *(c - place + start for c in cuts if c > place)])
            block = large[start:stop]
            if not np.isfinite(block).all():
                bad = int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                raise DataError(
                    f"embeddings must be finite, found NaN or infinity in row {place + bad}: "
                    "check the weights and the precision"
                )
            yield place, block
            place, start = place + (stop - start), stop
    if place != num_rows(rows):
        raise DataError(f"there must be {num_rows(rows)} embeddings, the blocks held {place}")
