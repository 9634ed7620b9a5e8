"""The data stream of a population: an endless sequence of images, addressed by position.

Data flow: (seed, position) -> here -> indices and flips -> `loader`. Epoch e is a permutation
seeded by (seed, e), and the stream is the epochs one after the other: round r of n images reads
positions r n to (r + 1) n - 1. Nothing is remembered between calls: a trial can be
repeated anywhere.

Only raw words of PCG64 are used, whose sequence numpy guarantees for all time: a run can be
resumed with another version of numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.seeds import derive_seed

_UNIT = 2.0**-53


def stream_indices(
    seed: int, size: int, start: int, count: int, *, repeat_first: bool = False
) -> NDArray[np.int64]:
    """Image indices (count,) in 0 to size-1 at stream positions start to start+count-1.

    Each aligned block of `size` positions holds every image once. Takes O(count + size) memory.
    With `repeat_first` epoch e is the permutation of epoch max(e - 1, 0) without it, so that the
    first two are equal, as in the released code of Search-Softmax.

    Raises:
        ValueError: `size` is below 1, or `start` or `count` is negative.

    >>> first, rest = stream_indices(0, 5, 0, 3), stream_indices(0, 5, 3, 2)
    >>> sorted([*first.tolist(), *rest.tolist()])
    [0, 1, 2, 3, 4]
    """
    if size < 1 or start < 0 or count < 0:
        raise ValueError(f"size >= 1, start >= 0, count >= 0, got {size}, {start}, {count}")
    indices = np.empty(count, np.int64)
    done = 0
    while done < count:
        epoch, offset = divmod(start + done, size)
        epoch = max(epoch - 1, 0) if repeat_first else epoch
        part = _permutation(seed, epoch, size)[offset : offset + count - done]
        indices[done : done + len(part)] = part
        done += len(part)
    return indices


def stream_flips(seed: int, start: int, count: int, probability: float) -> NDArray[np.bool_]:
    """Whether the image at each stream position is mirrored, (count,).

    Position p is decided by word p of one generator: not by batch, epoch or image.

    Raises:
        ValueError: `probability` is outside 0 to 1, or `start` or `count` is negative.
    """
    if not 0.0 <= probability <= 1.0 or start < 0 or count < 0:
        raise ValueError(
            f"probability in [0, 1], start >= 0, count >= 0, got {probability}, {start}, {count}"
        )
    words = np.random.PCG64(derive_seed(int(seed), "flip"))
    words.advance(int(start))
    uniform = (words.random_raw(int(count)) >> np.uint64(11)) * _UNIT
    return np.asarray(uniform < probability, np.bool_)


def _permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """Order of random 64-bit words; the chance that two are equal is negligible."""
    words = np.random.PCG64(derive_seed(int(seed), "epoch", int(epoch))).random_raw(size)
    return np.argsort(words, kind="stable")
