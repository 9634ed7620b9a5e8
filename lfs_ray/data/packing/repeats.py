"""The first key that comes twice among millions, in eight bytes a key.

Data flow: keys of a source -> here -> the message that refuses them.
"""

from __future__ import annotations

import numpy as np

from lfs_ray.data.listing import Keys


def first_repeat(keys: Keys) -> tuple[int, int] | None:
    """Places of the first key that was there before: (earlier, later); None when all differ.

    Keys are compared by their hashes, and those of equal hash by their bytes.
    """
    hashes = np.fromiter(map(hash, map(keys.encoded, range(len(keys)))), np.int64, len(keys))
    order = np.argsort(hashes, kind="stable")
    equal = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]]) + 1
    suspects = np.unique(np.concatenate([order[equal], order[equal - 1]]))
    seen: dict[bytes, int] = {}
    for place in suspects.tolist():
        earlier = seen.setdefault(keys.encoded(place), place)
        if earlier != place:
            return earlier, place
    return None
