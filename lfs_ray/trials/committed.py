"""The committed rounds of a run, read through the generations that own them.

Between `ownership` (which files count) and its users: `read` makes a DataFrame of the tables, a
search that goes on folds the rounds into its policy.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

import pyarrow as pa

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage
from lfs_ray.trials.damage import advice
from lfs_ray.trials.ownership import Generation, select
from lfs_ray.trials.rounds import DamagedRounds, Round, read_table, rounds_of, take_rounds

_NUM_TRIES = 5


def trials_folder(population: str) -> str:
    """Folder of a population's round files, relative to the run."""
    return f"populations/{population}/trials"


def committed_rounds(storage: Storage, population: str) -> list[Round]:
    """Committed rounds of a population, from round 0 without a gap.

    Raises:
        RunError: a file cannot be read.
    """
    tables = committed_tables(storage, population)
    return [one for table in tables for one in rounds_of(table)]


def committed_tables(storage: Storage, population: str) -> list[pa.Table]:
    """Committed rounds of a population.

    A running search may compact files between our listing and our reading; then the
    originals are gone, the compacted file is there, and a second look finds it.
    """
    folder = trials_folder(population)
    for _ in range(_NUM_TRIES):
        # Files first: a generation that is read later is then one that may have written them.
        names = storage.list(folder)
        selected = select(names, read_generations(storage), population)
        try:
            return _read_all(storage, population, selected)
        except FileNotFoundError as error:
            missing = error
    raise RunError(
        f"{storage.path(folder)} must hold the rounds it lists, found them removed while being "
        f"read, {_NUM_TRIES} times ({missing}): try again"
    )


def _read_all(
    storage: Storage, population: str, selected: Sequence[tuple[str, int, int]]
) -> list[pa.Table]:
    """The selected rounds of each file; a damaged one is told with what can be done."""
    tables: list[pa.Table] = []
    for name, first, last in selected:
        path = f"{trials_folder(population)}/{name}"
        place = storage.path(path)
        try:
            table = read_table(storage.read(path), name=place)
            tables.append(take_rounds(table, first, last, name=place))
        except DamagedRounds as error:
            before = rounds_of(tables[-1])[-1] if tables else None
            what = advice(storage, population, first, before)
            raise RunError(f"{error.finding}: {what}") from error
    return tables


def read_generations(storage: Storage) -> list[Generation]:
    """All generations of a run, in order of their names.

    Raises:
        RunError: one cannot be read.
    """
    found = []
    for name in storage.list("generations"):
        # One that withdrew at once, beside another driver, is gone.
        with contextlib.suppress(FileNotFoundError):
            if name.endswith(".json"):
                found.append(_generation(storage, f"generations/{name}"))
    return found


def _generation(storage: Storage, name: str) -> Generation:
    try:
        content = json.loads(storage.read(name))
        first_rounds = {str(key): int(value) for key, value in content["first_round"].items()}
        return int(content["generation"]), first_rounds
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{storage.path(name)} must name a generation and the first round of each "
            f"population, found something else ({error!r}): restore it from a copy"
        ) from error
