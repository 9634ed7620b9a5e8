"""Generations of a run: who may write to it, one driver at a time.

Each start of a driver raises the run's generation by an object that names itself. Only the driver
of the newest one commits; who finds a newer one than its own ends.
"""

from __future__ import annotations

import errno
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
    known = newest_generation(storage) if after is None else after
    number, name, populations = known + 1, uuid.uuid4().hex, list(populations)
    path = f"{GENERATIONS}/{number:06d}-{name}.json"
    for _ in range(_STARTS):
        if newest_generation(storage) != known:
            break
        # The number before the rounds: from then on an older driver commits and deletes nothing
        # more. Until it names rounds it owns none: one that dies in between leaves all as it was.
        rivals = _claim(storage, path, number, {})
        if rivals == [name]:
            first_round = {one: len(committed_rounds(storage, one)) for one in populations}
            rivals = _claim(storage, path, number, first_round)
        if rivals == [name]:
            return number
        # Never "the smallest goes on": one that was alone when it looked is going on already.
        storage.delete(path)
        pause(_PAUSE_S * (1 + 2 * sorted({*rivals, name}).index(name)))
    raise RunError(
        f"one driver at a time must work on the run {storage.url}, found another that started "
        f"just now: end it, or wait until it is done"
    )


def newest_generation(storage: Storage) -> int:
    """Number of the newest generation, -1 when there is none."""
    return max(_numbers(storage), default=-1)


def generation_numbers(storage: Storage, own: int) -> list[int]:
    """Numbers of all generations, among them `own` or a newer one.

    A bucket or network disk that is out of reach may look like an empty folder. But this driver's
    own generation was written: without it the storage fails, and nobody has taken over.

    Raises:
        RunError: the storage is out of reach.
    """

    def look() -> list[int]:
        numbers = _numbers(storage)
        if max(numbers, default=-1) < own:
            raise OSError(errno.ESTALE, f"this driver's generation {own} is gone")
        return numbers

    return storage.patiently("listed", GENERATIONS, look)


def _claim(storage: Storage, path: str, number: int, first_round: dict[str, int]) -> list[str]:
    """Take a number, with the rounds from which on it counts; ids of all that took it, sorted."""
    name = path.removesuffix(".json").rpartition("-")[2]
    content = {"generation": number, "id": name, "first_round": first_round}
    storage.write(path, json.dumps(content).encode())
    if max(generation_numbers(storage, number)) != number:
        return []
    start = f"{number:06d}-"
    names = [one for one in storage.list(GENERATIONS) if one.startswith(start)]
    return sorted(one.removeprefix(start).removesuffix(".json") for one in names)


def _numbers(storage: Storage) -> list[int]:
    """Numbers of all generations; what a network disk leaves there besides is nothing."""
    return [int(name[:6]) for name in storage.list(GENERATIONS) if name[:6].isdigit()]
