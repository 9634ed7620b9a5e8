"""Which files count: examples, and a simulation of drivers that do not know they are dead."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfs_ray.errors import RunError
from lfs_ray.trials.ownership import (
    Generation,
    RoundFile,
    compacted_name,
    owner,
    parse_name,
    round_name,
    select,
    superseded,
)

NAME = "search"


def starts(*first_rounds: int) -> list[Generation]:
    """Generations 1, 2, ... with these first rounds."""
    return [(number, {NAME: first}) for number, first in enumerate(first_rounds, start=1)]


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_names_are_read_back(first: int, more: int, generation: int) -> None:
    single = round_name(first, generation)
    assert parse_name(single) == RoundFile(single, first, first, generation, False)
    several = compacted_name(first, first + more, generation)
    assert parse_name(several) == RoundFile(several, first, first + more, generation, True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "round-000001.g000001.parquet.tmp",
        ".tmp-round-000001.g000001.parquet",
        "round-1.g000001.parquet",
        "round-000001.parquet",
        "round-000001-000002.g000001.parquet",
        "rounds-000002-000001.g000001.parquet",
        "rounds-000002.g000001.parquet",
        "round-00000\u0661.g000001.parquet",
    ],
)
def test_other_names_are_ignored(name: str) -> None:
    assert parse_name(name) is None
    assert select([name], starts(0), NAME) == []


def test_names_sort_as_rounds_do() -> None:
    names = [round_name(number, 1) for number in (9, 10, 99, 100)]
    assert names == sorted(names)


def test_the_owner_is_the_newest_that_starts_no_later() -> None:
    generations = starts(0, 5, 5, 8)
    owners = [owner(generations, NAME, number) for number in (0, 4, 5, 7, 8, 100)]
    assert owners == [1, 1, 3, 3, 4, 4]
    assert owner(generations, "another", 3) is None
    assert owner([], NAME, 0) is None


def test_a_restart_at_an_earlier_round_owns_what_follows() -> None:
    assert [owner(starts(0, 8, 5), NAME, number) for number in (4, 5, 9)] == [1, 3, 3]


def test_single_files_of_the_owner_are_read_up_to_a_gap() -> None:
    names = [round_name(number, 1) for number in (3, 0, 1, 5)]
    expected = [(round_name(number, 1), number, number) for number in (0, 1)]
    assert select(names, starts(0), NAME) == expected


def test_a_late_commit_of_an_orphan_is_not_read() -> None:
    names = [round_name(0, 1), round_name(1, 1), round_name(1, 2)]
    assert select(names, starts(0, 1), NAME) == [
        (round_name(0, 1), 0, 0),
        (round_name(1, 2), 1, 1),
    ]
    assert select(names[:2], starts(0, 1), NAME) == [(round_name(0, 1), 0, 0)]


def test_a_file_of_the_future_is_not_read() -> None:
    names = [round_name(0, 7), compacted_name(0, 3, 1)]
    assert select(names[:1], starts(0), NAME) == []
    assert select([round_name(0, 2)], starts(0, 5), NAME) == []


def test_compacted_files_are_preferred_newest_then_longest() -> None:
    names = [round_name(number, 1) for number in range(6)]
    names += [compacted_name(0, 1, 1), compacted_name(0, 3, 1), compacted_name(0, 2, 2)]
    assert select(names, starts(0, 4), NAME) == [
        (compacted_name(0, 2, 2), 0, 2),
        (compacted_name(0, 3, 1), 3, 3),
    ]


def test_only_the_part_before_a_newer_start_is_read_of_a_compacted_file() -> None:
    names = [compacted_name(0, 9, 2), round_name(8, 3), round_name(9, 2)]
    assert select(names, starts(0, 5, 8), NAME) == [
        (compacted_name(0, 9, 2), 0, 7),
        (round_name(8, 3), 8, 8),
    ]


def test_an_older_generation_may_not_speak_for_a_newer_owner() -> None:
    assert select([compacted_name(0, 9, 1)], starts(0, 0), NAME) == []


def test_two_generations_of_one_number_are_refused() -> None:
    with pytest.raises(RunError, match="distinct numbers") as caught:
        select([], [(1, {NAME: 0}), (1, {NAME: 2})], NAME)
    assert "\n" not in str(caught.value)


def test_what_a_compacted_file_holds_may_be_removed() -> None:
    names = [round_name(number, 1) for number in range(5)]
    names += [compacted_name(0, 1, 1), compacted_name(0, 3, 1), "notes.txt"]
    assert superseded(names, starts(0), NAME) == [
        round_name(0, 1),
        round_name(1, 1),
        round_name(2, 1),
        round_name(3, 1),
        compacted_name(0, 1, 1),
    ]


def test_what_is_not_read_from_a_compacted_file_stays() -> None:
    after_a_gap, late = round_name(7, 1), round_name(5, 1)
    names = [compacted_name(0, 3, 1), after_a_gap, late, compacted_name(3, 5, 1)]
    assert superseded(names, starts(0, 4), NAME) == []


def test_nothing_of_an_unknown_newer_generation_is_removed() -> None:
    names = [compacted_name(0, 9, 1), round_name(4, 1), round_name(4, 2), compacted_name(0, 9, 2)]
    assert superseded(names, starts(0), NAME) == [round_name(4, 1)]
    assert select(names, starts(0), NAME) == [(compacted_name(0, 9, 1), 0, 9)]


class Run:
    """A folder, the drivers that write to it, and what the newest of them takes for the truth.

    A file maps each round to its writer, a string unlike any other write.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[int, str]] = {}
        self.generations: list[Generation] = []
        self.next_round: dict[int, int] = {}
        self.truth: list[str] = []
        self.num_writes = 0

    def content(self, known: list[Generation]) -> list[str]:
        parts = select(self.files, known, NAME)
        return [self.files[name][n] for name, first, last in parts for n in range(first, last + 1)]

    def start(self, orphans_between: list[int]) -> None:
        """A driver reads the rounds, others write, then it raises its generation."""
        read = self.content(self.generations)
        for orphan in orphans_between:
            self.commit(orphan)
        number = len(self.generations) + 1
        self.generations.append((number, {NAME: len(read)}))
        self.next_round[number] = len(read)
        self.truth = read

    def commit(self, driver: int) -> None:
        """A driver, perhaps an orphan, writes its next round."""
        number = driver % len(self.generations) + 1
        self.num_writes += 1
        writer = f"generation {number}, write {self.num_writes}"
        round_number = self.next_round[number]
        self.files[round_name(round_number, number)] = {round_number: writer}
        self.next_round[number] += 1
        if number == len(self.generations):
            self.truth.append(writer)

    def compact(self, driver: int, first: int, length: int, remove: bool) -> None:
        """A driver compacts rounds as it sees them, knowing no generation after its own."""
        number = driver % len(self.generations) + 1
        known = self.generations[:number]
        content = dict(enumerate(self.content(known)))
        last = min(first + length, len(content) - 1)
        if first > last:
            return
        chosen = {n: content[n] for n in range(first, last + 1)}
        self.files[compacted_name(first, last, number)] = chosen
        for name in superseded(self.files, known, NAME) if remove else []:
            del self.files[name]


ANY_DRIVER = st.integers(0, 5)
ACTIONS = st.one_of(
    st.tuples(st.just("start"), st.lists(ANY_DRIVER, max_size=3)),
    st.tuples(st.just("commit"), ANY_DRIVER),
    st.tuples(st.just("compact"), ANY_DRIVER, st.integers(0, 8), st.integers(0, 8), st.booleans()),
)


@given(st.lists(ACTIONS, max_size=40))
@settings(max_examples=400, deadline=None)
def test_what_is_read_is_what_the_newest_driver_wrote(actions: list[tuple]) -> None:
    run = Run()
    run.start([])
    for name, *arguments in actions:
        getattr(run, name)(*arguments)
        assert run.content(run.generations) == run.truth


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 6)), max_size=20),
    st.tuples(st.integers(0, 9), st.integers(1, 6)),
)
def test_a_single_file_of_another_than_the_owner_changes_nothing(
    firsts: list[int], rounds: list[tuple[int, int]], late: tuple[int, int]
) -> None:
    generations = starts(*firsts)
    names = [round_name(*one) for one in rounds]
    if late[1] != owner(generations, NAME, late[0]):
        with_late = select([*names, round_name(*late)], generations, NAME)
        assert with_late == select(names, generations, NAME)


@given(st.permutations([round_name(n, g) for n in range(4) for g in (1, 2)]), st.booleans())
def test_the_order_of_a_listing_does_not_matter(names: list[str], swap: bool) -> None:
    generations = starts(0, 2)
    shown = [*names, compacted_name(1, 2, 1)]
    known = generations[::-1] if swap else generations
    assert select(shown, known, NAME) == select(sorted(shown), generations, NAME)
