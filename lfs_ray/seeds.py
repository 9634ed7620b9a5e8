"""Seeds: all random numbers of a run derive from (population seed, purpose, round, member).

A hash, not an offset: streams of different purposes or neighbouring rounds never overlap.
"""

from __future__ import annotations

import hashlib


def derive_seed(*path: int | str) -> int:
    """Seed in [0, 2**63) for the thing that `path` names.

    >>> derive_seed(0, "draw", 3) == derive_seed(0, "draw", 3)
    True
    >>> derive_seed(0, "draw", 3) == derive_seed(0, "draw", 4)
    False
    """
    text = "/".join(f"{type(part).__name__}:{part}" for part in path)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
