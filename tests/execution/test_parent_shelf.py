"""The actor's shelf: what is held is what may be asked for, and no more, however long a run is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from lfs_ray.execution.parent_shelf import ParentShelf
from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Lease


class Objects:
    """An object store that counts."""

    def __init__(self) -> None:
        self.puts: list[object] = []

    def put(self, blob: object) -> str:
        self.puts.append(blob)
        return f"ref of {blob}"


def lease_of(number: int, member: int = 0, population: str = "p", token: str = "t") -> Lease:
    return Lease(
        population=population,
        round=number,
        member=member,
        token=token,
        theta=(),
        seed=1,
        stream_seed=2,
        init_seed=3,
        parent=None,
    )


def bring(shelf: ParentShelf, lease: Lease, reward: float) -> None:
    """A worker is told to store, and hands over what it stored."""
    shelf.expect(lease, reward)
    asyncio.run(shelf.offer(lease, blob_of(lease)))


def blob_of(lease: Lease) -> str:
    return f"{lease.population}{lease.round}.{lease.member}{lease.token}"


def held(shelf: ParentShelf, *leases: Lease) -> list[list[Any]]:
    return [shelf.ref_of(checkpoint_name(lease)) for lease in leases]


def refs(*leases: Lease) -> list[list[str]]:
    return [[f"ref of {blob_of(lease)}"] for lease in leases]


def test_the_best_so_far_replaces_the_one_before() -> None:
    shelf, first, second = ParentShelf(Objects().put), lease_of(0, 0), lease_of(0, 1)
    bring(shelf, first, 0.5)
    assert held(shelf, first) == refs(first)
    bring(shelf, second, 0.6)
    assert held(shelf, first, second) == [[], *refs(second)]


def test_a_worse_one_that_comes_late_is_not_put() -> None:
    objects = Objects()
    shelf, better, late = ParentShelf(objects.put), lease_of(0, 0), lease_of(0, 1)
    shelf.expect(late, 0.5)
    bring(shelf, better, 0.6)
    asyncio.run(shelf.offer(late, blob_of(late)))
    assert objects.puts == [blob_of(better)]
    assert held(shelf, better, late) == [*refs(better), []]


def test_among_equals_the_lower_member_stays() -> None:
    shelf, lower, higher = ParentShelf(Objects().put), lease_of(0, 1), lease_of(0, 2)
    shelf.expect(higher, 0.5)
    bring(shelf, lower, 0.5)
    asyncio.run(shelf.offer(higher, blob_of(higher)))
    assert held(shelf, lower, higher) == [*refs(lower), []]


def test_what_another_worker_trained_again_is_there_under_its_own_name() -> None:
    shelf = ParentShelf(Objects().put)
    lost, again = lease_of(0, 1, token="lost"), lease_of(0, 1, token="again")
    bring(shelf, lost, 0.5)
    bring(shelf, again, 0.5)
    assert held(shelf, again) == refs(again)


def test_a_parent_stays_while_its_round_is_open_and_goes_with_the_next() -> None:
    shelf, rounds = ParentShelf(Objects().put), [lease_of(number) for number in range(3)]
    bring(shelf, rounds[0], 0.5)
    bring(shelf, rounds[1], 0.1)
    assert held(shelf, *rounds[:2]) == refs(*rounds[:2])
    bring(shelf, rounds[2], 0.1)
    assert held(shelf, *rounds) == [[], *refs(*rounds[1:])]


def test_populations_do_not_touch_each_other() -> None:
    shelf, one, other = ParentShelf(Objects().put), lease_of(0), lease_of(7, population="q")
    bring(shelf, one, 0.5)
    bring(shelf, other, 0.9)
    assert held(shelf, one, other) == refs(one, other)


def test_a_finished_population_holds_nothing() -> None:
    shelf, one, other = ParentShelf(Objects().put), lease_of(0), lease_of(0, population="q")
    bring(shelf, one, 0.5)
    bring(shelf, other, 0.5)
    shelf.keep({"q"})
    assert held(shelf, one, other) == [[], *refs(other)]


def test_what_nobody_was_told_to_store_is_not_put() -> None:
    objects = Objects()
    shelf = ParentShelf(objects.put)
    asyncio.run(shelf.offer(lease_of(0), "x"))
    assert objects.puts == []
    assert held(shelf, lease_of(0)) == [[]]


def test_what_is_overtaken_while_it_is_being_put_is_dropped() -> None:
    started, overtaken = threading.Event(), threading.Event()
    slow, better = lease_of(0, 1), lease_of(0, 0)

    def put(blob: object) -> str:
        if blob == blob_of(slow):
            started.set()
            assert overtaken.wait(10)
        return f"ref of {blob}"

    async def play(shelf: ParentShelf, wait: Callable[..., bool]) -> None:
        offer = asyncio.create_task(shelf.offer(slow, blob_of(slow)))
        # The calls of others go on meanwhile.
        assert await asyncio.to_thread(wait, 10)
        shelf.expect(better, 0.6)
        await shelf.offer(better, blob_of(better))
        overtaken.set()
        await offer

    shelf = ParentShelf(put)
    shelf.expect(slow, 0.5)
    asyncio.run(play(shelf, started.wait))
    assert held(shelf, slow, better) == [[], *refs(better)]


def test_a_thousand_rounds_hold_as_much_as_two() -> None:
    shelf, sizes = ParentShelf(Objects().put), []
    for number in range(1000):
        for member, reward in ((2, 0.1), (0, 0.3), (1, 0.7)):
            bring(shelf, lease_of(number, member), reward)
        sizes.append((len(shelf._refs), len(shelf._places)))
    assert set(sizes[1:]) == {(2, 6)}
