"""Generations of a run: who may write to it, one driver at a time.

Each start of a driver raises the run's generation by an object that names itself. Only the driver
of the newest one commits; who finds a newer one than its own ends.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds

GENERATIONS = "generations"
_STARTS = 5
_PAUSE_S = 0.5


def start_generation(
    storage: Storage,
    populations: Iterable[str],
    *,
    after: int | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Raise the run's generation: later rounds are this driver's; its number.

    Drivers that start at one instant see each other and all withdraw; then one tries again first.

    Args:
        storage: the run directory.
        populations: their names.
        after: the newest generation when this driver looked at the run; None: as it is now.
        pause: sleeps for so many seconds.

    Raises:
        RunError: another driver started since, or a round cannot be read.
    """
    # The number before the rounds: whoever starts in between takes the same number and is seen.
    known = newest_generation(storage) if after is None else after
    number, name, populations = known + 1, uuid.uuid4().hex, list(populations)
    path = f"{GENERATIONS}/{number:06d}-{name}.json"
    for _ in range(_STARTS):
        first_round = {one: len(committed_rounds(storage, one)) for one in populations}
        if newest_generation(storage) != known:
            break
        content = {"generation": number, "id": name, "first_round": first_round}
        storage.write(path, json.dumps(content).encode())
        rivals = _rivals(storage, number)
        if newest_generation(storage) == number and rivals == [name]:
            return number
        # Never "the smallest goes on": one that was alone when it looked is going on already.
        storage.delete(path)
        pause(_PAUSE_S * (1 + 2 * sorted([*rivals, name]).index(name)))
    raise RunError(
        f"one driver at a time must work on the run {storage.url}, found another that started "
        f"just now: end it, or wait until it is done"
    )


def newest_generation(storage: Storage) -> int:
    """Number of the newest generation, -1 when there is none."""
    return max(_generation_numbers(storage), default=-1)


def _rivals(storage: Storage, number: int) -> list[str]:
    """Ids of the drivers that took a number, sorted."""
    start = f"{number:06d}-"
    names = [name for name in storage.list(GENERATIONS) if name.startswith(start)]
    return sorted(name.removeprefix(start).removesuffix(".json") for name in names)


def _generation_numbers(storage: Storage) -> list[int]:
    """Numbers of all generations; what a network disk leaves there besides is nothing."""
    return [int(name[:6]) for name in storage.list(GENERATIONS) if name[:6].isdigit()]
