"""What can be done about a file of committed rounds that is damaged.

A round can be trained again as long as what its members started from is there: the selected trial
of the round before (all its stored trials, where members go on from their own), or the initial
weights. Training it again gives the same rows.
"""

from __future__ import annotations

import json

from lfs_ray.storage import Storage
from lfs_ray.trials.rounds import Round


def advice(storage: Storage, population: str, first: int, before: Round | None) -> str:
    """What to do about a damaged file.

    Args:
        storage: the run directory.
        population: whose rounds it holds.
        first: the first of them that counts.
        before: the round before it; None: it is round 0.
    """
    if before is not None and not _is_kept(storage, before):
        return (
            f"restore it from a copy (rounds 0 to {before.number} are whole, but the parent of "
            f"round {first} of population {population} is not kept any more)"
        )
    return (
        f"restore it from a copy, or move it out of the run: a resume then trains population "
        f"{population} again from round {first} on, to the same rows"
    )


def _is_kept(storage: Storage, before: Round) -> bool:
    """Whether every checkpoint that the next round starts from is there in its full size."""
    facts = before.metadata
    selected = [str(row["checkpoint"]) for row in before.rows if row["selected"]]
    if len(selected) != 1 or "checkpoint_bytes" not in facts:
        return False
    needed = {selected[0]: int(facts["checkpoint_bytes"])}
    own = json.loads(facts.get("own_checkpoints", "{}"))
    needed |= {one["name"]: one["size_bytes"] for one in own.values()}
    return all(storage.size(name) == size for name, size in needed.items())
