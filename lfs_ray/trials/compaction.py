"""Files of closed rounds joined into larger ones: a population's latest, and those alone.

After a commit. A file that holds enough rounds already is never read again here: joining costs
the same in the thousandth round as in the first, in time and in memory.
"""

from __future__ import annotations

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import read_generations, trials_folder
from lfs_ray.trials.ownership import compacted_name, select, superseded
from lfs_ray.trials.rounds import merge_rounds

Part = tuple[str, int, int]
"""Name of a file, first and last round that count in it."""


def compact(storage: Storage, population: str, generation: int, num_rounds: int) -> None:
    """Join the last files that hold fewer rounds each; read back, then remove the originals.

    Args:
        storage: the run directory.
        population: whose rounds.
        generation: of who joins.
        num_rounds: rounds from which on a file is large enough, at least 1.

    Raises:
        RunError: the file does not read back as it was written, or a round cannot be read.
    """
    folder = trials_folder(population)
    generations = read_generations(storage)
    parts = small_parts(select(storage.list(folder), generations, population), num_rounds)
    if parts:
        merged = merge_rounds(
            [(storage.read(f"{folder}/{name}"), first, last) for name, first, last in parts],
            names=[storage.path(f"{folder}/{name}") for name, _, _ in parts],
        )
        path = f"{folder}/{compacted_name(parts[0][1], parts[-1][2], generation)}"
        storage.write(path, merged)
        if storage.read(path) != merged:
            raise RunError(f"{path} must read back as it was written, it does not: check the disk")
    for name in superseded(storage.list(folder), generations, population):
        storage.delete(f"{folder}/{name}")


def small_parts(parts: list[Part], num_rounds: int) -> list[Part]:
    """The parts behind the last one that holds `num_rounds`, where they are several.

    >>> small_parts([("a", 0, 3), ("b", 4, 4), ("c", 5, 5)], 4)
    [('b', 4, 4), ('c', 5, 5)]
    """
    large = [i for i, (_, first, last) in enumerate(parts) if last - first + 1 >= num_rounds]
    small = parts[large[-1] + 1 if large else 0 :]
    return small if len(small) > 1 else []
