"""Names of round files, and which of them count: pure functions of names.

Between the run directory and `read`: a folder may hold files of several driver starts
(generations), some written late by processes that were believed dead. A generation names, for
each population, the first round it wrote. The owner of round r is the newest generation whose
first round is <= r, and that alone decides:

* a file of one round counts when it is exactly the owner's;
* a compacted file of generation G counts for the rounds whose owner is <= G: G copied the
  committed rounds it had read or written, and owned all later ones. The owner never falls with
  r, so such rounds are a prefix of the file.

An orphan's late commit is of a round that a newer generation owns; hence it is never selected.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lfs_ray.errors import RunError

Generation = tuple[int, Mapping[str, int]]
"""Number of the generation, and the first round it wrote of each population."""

_PATTERN = re.compile(
    r"(?:round-(?P<single>\d{6,})|rounds-(?P<first>\d{6,})-(?P<last>\d{6,}))"
    r"\.g(?P<generation>\d{6,})\.parquet",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class RoundFile:
    """What the name of a round file says."""

    name: str
    first: int
    last: int
    generation: int
    compacted: bool

    def covers(self, round_number: int) -> bool:
        """Whether the round lies in the file's range."""
        return self.first <= round_number <= self.last


def round_name(round_number: int, generation: int) -> str:
    """File name of one committed round.

    >>> round_name(12, 3)
    'round-000012.g000003.parquet'
    """
    return f"round-{round_number:06d}.g{generation:06d}.parquet"


def compacted_name(first: int, last: int, generation: int) -> str:
    """File name of rounds first..last (inclusive), compacted by a generation.

    >>> compacted_name(0, 49, 3)
    'rounds-000000-000049.g000003.parquet'
    """
    return f"rounds-{first:06d}-{last:06d}.g{generation:06d}.parquet"


def parse_name(name: str) -> RoundFile | None:
    """What a file name says; None when it is not a round file's (a temporary or foreign one)."""
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    compacted = match["single"] is None
    first = int(match["first"] if compacted else match["single"])
    last = int(match["last"]) if compacted else first
    if last < first:
        return None
    return RoundFile(name, first, last, int(match["generation"]), compacted)


def owner(generations: Iterable[Generation], population: str, round_number: int) -> int | None:
    """Number of the generation that owns a round, None when no generation does.

    A generation that does not name the population owns none of its rounds.

    >>> owner([(1, {"a": 0}), (2, {"a": 5})], "a", 4)
    1
    """
    owners = [
        number
        for number, first_rounds in generations
        if population in first_rounds and first_rounds[population] <= round_number
    ]
    return max(owners, default=None)


def select(
    names: Iterable[str], generations: Sequence[Generation], population: str
) -> list[tuple[str, int, int]]:
    """Files to read for a population, in the order of rounds.

    Args:
        names: file names of its folder, in any order; others than round files are ignored.
        generations: all generations of the run, in any order. List them after the files: files
            of a generation that is not among them are left out.
        population: name of the population.

    Returns:
        (file name, first, last): take rounds first..last (inclusive) of that file. The ranges
        follow each other from round 0 without a gap and end before the first round that is
        missing. Compacted files are preferred, of them the newest and then the longest.

    Raises:
        RunError: two generations have one number.
    """
    numbers = [number for number, _ in generations]
    if len(set(numbers)) != len(numbers):
        raise RunError(
            f"generations must have distinct numbers, found {sorted(numbers)}: "
            "two drivers have started on this run at the same time; remove the later object"
        )
    newest = max(numbers, default=-1)
    files = [file for file in map(parse_name, names) if file and file.generation <= newest]
    compacted = [file for file in files if file.compacted]
    singles: dict[int, list[RoundFile]] = defaultdict(list)
    for file in files:
        if not file.compacted:
            singles[file.first].append(file)
    selected: list[tuple[str, int, int]] = []
    start = 0
    while True:
        choice = _choose([*compacted, *singles[start]], generations, population, start)
        if choice is None:
            return selected
        selected.append(choice)
        start = choice[2] + 1


def superseded(
    names: Iterable[str], generations: Sequence[Generation], population: str
) -> list[str]:
    """Files that may be removed: each of their rounds is read from a compacted file instead.

    Never names a file of a generation newer than those given, so that an orphan that acts on
    the generations it knew removes nothing that a newer one needs.
    """
    names = list(names)
    chosen = select(names, generations, population)
    kept = {name for name, _, _ in chosen}
    covered: set[int] = set()
    for name, first, last in chosen:
        file = parse_name(name)
        if file is not None and file.compacted:
            covered.update(range(first, last + 1))
    newest = max((number for number, _ in generations), default=-1)
    files = [file for file in map(parse_name, sorted(names)) if file is not None]
    return [
        file.name
        for file in files
        if file.generation <= newest
        and file.name not in kept
        and covered.issuperset(range(file.first, file.last + 1))
    ]


def _choose(
    files: Iterable[RoundFile], generations: Sequence[Generation], population: str, start: int
) -> tuple[str, int, int] | None:
    """The file to read from round `start` on, and the range to take of it."""
    holder = owner(generations, population, start)
    if holder is None:
        return None
    valid = [file for file in files if file.covers(start) and _counts(file, holder)]
    if not valid:
        return None
    file = max(valid, key=lambda f: (f.compacted, f.generation, f.last, -f.first))
    return file.name, start, _last_valid(file, generations, population)


def _counts(file: RoundFile, holder: int) -> bool:
    """Whether a file counts for a round that generation `holder` owns."""
    return holder <= file.generation if file.compacted else holder == file.generation


def _last_valid(file: RoundFile, generations: Sequence[Generation], population: str) -> int:
    """Last round of a file that counts, of one with a round that does.

    A generation newer than the file then starts after that round.
    """
    newer_starts = [
        first_rounds[population]
        for number, first_rounds in generations
        if population in first_rounds and number > file.generation
    ]
    return min([file.last, *(first - 1 for first in newer_starts)])
