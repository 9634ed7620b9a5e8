"""Checkpoints that lie in the object store while they are, or may become, a parent.

The policy actor's side of `parent_exchange`: what the actor puts there lives as long as the actor,
whichever worker trained it. The run's files stay the truth: whatever is missing here is read from
them. A shelf holds, of each population, the best trial of the open round so far and the best one
of the round before, which is the parent that workers ask for. Members' own trials, where all are
stored, lie in files alone. It doesn't import ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Lease

Order = tuple[float, int]


@dataclass(frozen=True, slots=True)
class _Place:
    """What a lease that was told to store its checkpoint stands for."""

    population: str
    round: int
    order: Order
    """Sorts better trials of a round first, as the population does."""


class ParentShelf:
    """Holds references to objects, for as long as they may be asked for.

    Args:
        put: puts an object into the object store; its reference. Called in a thread of its own,
            since it copies for as long as the object is large.
    """

    def __init__(self, put: Callable[[Any], Any]) -> None:
        self._put = put
        self._places: dict[str, _Place] = {}
        self._refs: dict[str, Any] = {}

    def expect(self, lease: Lease, reward: float) -> None:
        """A worker was told to store what this lease ended with."""
        place = _Place(lease.population, lease.round, (-reward, lease.member))
        kept = {name: one for name, one in self._places.items() if not _is_past(one, place)}
        self._places = {**kept, checkpoint_name(lease): place}
        self._drop(name for name in list(self._refs) if name not in self._places)

    def keep(self, populations: Collection[str]) -> None:
        """Drop what is of other populations: those that have come to their end."""
        if any(place.population not in populations for place in self._places.values()):
            kept = {n: one for n, one in self._places.items() if one.population in populations}
            self._places = kept
            self._drop(name for name in list(self._refs) if name not in kept)

    async def offer(self, lease: Lease, blob: Any) -> None:
        """Put a checkpoint's bytes there, unless a better one of its round is there already."""
        name = checkpoint_name(lease)
        if not self._is_wanted(name):
            return
        ref = await asyncio.to_thread(self._put, blob)
        if self._is_wanted(name):
            self._refs[name] = ref
            place = self._places[name]
            self._drop(other for other in list(self._refs) if _loses(self._places[other], place))

    def ref_of(self, name: str) -> list[Any]:
        """The reference to a checkpoint's bytes by its name in the run; empty: not there.

        In a list, so that Ray hands on the reference and not the object.
        """
        return [self._refs[name]] if name in self._refs else []

    def _is_wanted(self, name: str) -> bool:
        place = self._places.get(name)
        held = (self._places[other] for other in self._refs)
        return place is not None and not any(_loses(place, one) for one in held)

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            del self._refs[name]


def _is_past(one: _Place, now: _Place) -> bool:
    """Whether nobody starts from `one` any more when `now` is of the open round."""
    return one.population == now.population and one.round < now.round - 1


def _loses(one: _Place, other: _Place) -> bool:
    """Whether `one` cannot win since `other` is of the same round and better."""
    same = (one.population, one.round) == (other.population, other.round)
    return same and one.order > other.order
