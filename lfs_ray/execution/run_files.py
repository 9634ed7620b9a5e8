"""The files that a search writes while it runs: generations, journal, rounds, parents.

One commit point a round: the round file. Everything else can be lost or left over without harm.
What is deleted is deleted after a commit, and only by the keeper of the run (the policy actor, or
the serial executor): nothing that the last round, the last K parents, the best one or the open
round refer to.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from lfs_ray.errors import RunError
from lfs_ray.search.messages import Checkpoint, Completed, Lease, Outcome, Parent
from lfs_ray.search.rounds import ClosedRound
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import (
    committed_rounds,
    read_generations,
    trials_folder,
)
from lfs_ray.trials.ownership import compacted_name, round_name, select, superseded
from lfs_ray.trials.rounds import Round, encode_round, merge_rounds

_ROUND = re.compile(r"round-(\d+)-")
_OWN = "own_checkpoints"
_GENERATION = "generations/{number:06d}-{name}.json"


def start_generation(storage: Storage, populations: Iterable[str]) -> int:
    """Raise the run's generation: later rounds are this driver's; its number.

    Raises:
        RunError: another driver starts at the same time, or a round cannot be read.
    """
    number = newest_generation(storage) + 1
    name = uuid.uuid4().hex
    path = _GENERATION.format(number=number, name=name)
    first_round: dict[str, int] = {}
    # The number before the rounds: from then on an older driver commits and deletes nothing more.
    # Until it names rounds it owns none, so that one that dies in between leaves all as it was.
    for counted in (False, True):
        if counted:
            first_round = {name: len(committed_rounds(storage, name)) for name in populations}
        content = {"generation": number, "id": name, "first_round": first_round}
        storage.write(path, json.dumps(content).encode())
        numbers = _numbers_with(storage, number)
        if max(numbers) != number or numbers.count(number) > 1:
            storage.delete(path)
            raise RunError(
                f"one driver at a time must work on the run {storage.url}, found another that "
                f"started just now: end it, or wait until it is done"
            )
    return number


def newest_generation(storage: Storage) -> int:
    """Number of the newest generation, -1 when there is none."""
    return max(_generation_numbers(storage), default=-1)


def _numbers_with(storage: Storage, own: int) -> list[int]:
    """Numbers of all generations; `own` was written: without it, the storage is out of reach."""

    def look() -> list[int]:
        numbers = _generation_numbers(storage)
        if max(numbers, default=-1) < own:
            raise OSError(errno.ESTALE, f"this driver's generation {own} is gone")
        return numbers

    return storage.patiently("listed", "generations", look)


def _generation_numbers(storage: Storage) -> list[int]:
    """Numbers of all generations; what a network disk leaves there besides is nothing."""
    return [int(name[:6]) for name in storage.list("generations") if name[:6].isdigit()]


class RunFiles:
    """Files of one population, written by one generation.

    Args:
        storage: the run directory.
        population: its name.
        generation: the writer's.
        theta_names: names of theta's components.
        keep_last: parents of closed rounds whose checkpoints are kept.
        compact_rounds: closed rounds joined into one file; 0: never.
    """

    def __init__(
        self,
        storage: Storage,
        population: str,
        generation: int,
        theta_names: tuple[str, ...],
        *,
        keep_last: int,
        compact_rounds: int,
    ) -> None:
        self.storage = storage
        self.population = population
        self.generation = generation
        self.theta_names = theta_names
        self.keep_last = keep_last
        self.compact_rounds = compact_rounds
        self._folder = f"populations/{population}"
        self._best: tuple[float, str] = (-math.inf, "")
        self._parents: dict[int, str] = {}
        self._last: set[str] = set()

    def committed(self) -> list[Round]:
        """Committed rounds, and what of them is kept is noted.

        Raises:
            RunError: a file cannot be read, or the storage is out of reach.
        """
        self._newest()
        rounds = committed_rounds(self.storage, self.population)
        # The storage was there all the while, and not an empty folder in its place.
        self._newest()
        for one in rounds:
            self._note(one.rows)
        return rounds

    def _newest(self) -> int:
        return max(_numbers_with(self.storage, self.generation))

    def commit(self, closed: ClosedRound) -> None:
        """Write a closed round: the commit point; then delete what nothing refers to any more.

        Raises:
            RunError: a newer driver has taken over the run, or the storage fails.
        """
        newest = self._newest()
        if newest != self.generation:
            raise RunError(
                f"the newest driver alone writes to the run {self.storage.url}, found generation "
                f"{newest} beside this one, {self.generation}: this driver ends"
            )
        number = closed.parent.round
        checkpoint = closed.parent.checkpoint
        facts = {
            "generation": str(self.generation),
            "policy_digest": closed.policy_state.digest(),
            "checkpoint_bytes": str(checkpoint.size_bytes),
            "checkpoint_digest": checkpoint.digest,
        }
        if closed.own:
            own = {member: asdict(one.checkpoint) for member, one in closed.own.items()}
            facts[_OWN] = json.dumps(own, sort_keys=True)
        blob = encode_round([_stamped(row) for row in closed.rows], self.theta_names, facts)
        folder = trials_folder(self.population)
        self.storage.write(f"{folder}/{round_name(number, self.generation)}", blob)
        self._note(closed.rows)
        self.tidy()
        if self.compact_rounds and (number + 1) % self.compact_rounds == 0:
            self.compact()

    def write_journal(self, completed: Completed) -> None:
        """Write a completed trial down; a failed one is not: a resume tries it again."""
        if completed.outcome.error:
            return
        name = f"round-{completed.round:06d}-member-{completed.member:04d}.json"
        self.storage.write(
            f"{self._folder}/journal/{name}", json.dumps(asdict(completed)).encode()
        )

    def read_journal(self, number: int) -> list[Completed]:
        """Completed trials of the open round `number` whose checkpoints, if any, are whole."""
        found = []
        for name in self.storage.list(f"{self._folder}/journal"):
            # A driver that is ending may remove an entry that it has committed.
            with contextlib.suppress(FileNotFoundError):
                if name.startswith(f"round-{number:06d}-"):
                    found.append(_completed(self.storage.read(f"{self._folder}/journal/{name}")))
        return [one for one in found if one.checkpoint is None or self.is_whole(one.checkpoint)]

    def parent_of(self, closed: Round) -> Parent:
        """The selected trial of a committed round.

        Raises:
            RunError: its checkpoint is gone or cut off.
        """
        row = next(row for row in closed.rows if row["selected"])
        checkpoint = Checkpoint(
            name=str(row["checkpoint"]),
            size_bytes=int(closed.metadata["checkpoint_bytes"]),
            digest=closed.metadata["checkpoint_digest"],
        )
        return self._parent(closed, _integer(row["member"]), checkpoint)

    def own_of(self, closed: Round) -> dict[int, Parent]:
        """Every stored trial of a committed round by member, where it stored all; else empty.

        Raises:
            RunError: a checkpoint is gone or cut off.
        """
        own = json.loads(closed.metadata.get(_OWN, "{}"))
        return {
            int(member): self._parent(closed, int(member), Checkpoint(**facts))
            for member, facts in own.items()
        }

    def _parent(self, closed: Round, member: int, checkpoint: Checkpoint) -> Parent:
        if not self.is_whole(checkpoint):
            raise RunError(
                f"the parent of round {closed.number + 1} of population {self.population} must be "
                f"a file of {checkpoint.size_bytes} bytes, found "
                f"{self.storage.size(checkpoint.name)} at {self.storage.path(checkpoint.name)}: "
                f"restore it from a copy"
            )
        return Parent(round=closed.number, member=member, checkpoint=checkpoint)

    def compact(self) -> None:
        """Join the committed rounds into one file, read it back, then remove the originals."""
        folder = trials_folder(self.population)
        names = self.storage.list(folder)
        generations = read_generations(self.storage)
        parts = select(names, generations, self.population)
        merged = merge_rounds(
            [(self.storage.read(f"{folder}/{name}"), first, last) for name, first, last in parts]
        )
        path = f"{folder}/{compacted_name(parts[0][1], parts[-1][2], self.generation)}"
        self.storage.write(path, merged)
        if self.storage.read(path) != merged:
            raise RunError(f"{path} must read back as it was written, it does not: check the disk")
        for name in superseded(self.storage.list(folder), generations, self.population):
            self.storage.delete(f"{folder}/{name}")

    def _note(self, rows: Sequence[Mapping[str, object]]) -> None:
        self._last = {str(row["checkpoint"]) for row in rows if row.get("checkpoint")}
        row = next(row for row in rows if row["selected"])
        name, reward = str(row["checkpoint"]), row["reward"]
        assert isinstance(reward, float)
        self._parents[_integer(row["round"])] = name
        self._best = max(self._best, (reward, name), key=lambda pair: pair[0])

    def tidy(self) -> None:
        """Delete checkpoints and journal entries of committed rounds that nobody needs.

        A driver that was overtaken deletes nothing: its successor may be at these rounds again.
        """
        if self._newest() != self.generation:
            return
        parents = list(self._parents.values())[-max(self.keep_last, 1) :]
        keep = {*parents, *self._last, self._best[1]}
        for folder in ("checkpoints", "journal"):
            for name in self.storage.list(f"{self._folder}/{folder}"):
                path = f"{self._folder}/{folder}/{name}"
                known = _ROUND.match(name)
                if known and int(known[1]) < len(self._parents) and path not in keep:
                    with contextlib.suppress(RunError):  # the next round's turn tries again
                        self.storage.delete(path)

    def is_whole(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint is there in its full size."""
        return self.storage.size(checkpoint.name) == checkpoint.size_bytes


def checkpoint_name(lease: Lease) -> str:
    """Name of the checkpoint that a lease may write; no two leases share one."""
    return (
        f"populations/{lease.population}/checkpoints/"
        f"round-{lease.round:06d}-member-{lease.member:04d}-{lease.token}.safetensors"
    )


def _stamped(row: Mapping[str, object]) -> dict[str, object]:
    """A row with its start as a time of day; workers send seconds since 1970."""
    started = row.get("started_at")
    if not isinstance(started, float):
        return dict(row)
    return {**row, "started_at": datetime.fromtimestamp(started, UTC)}


def _completed(blob: bytes) -> Completed:
    content = json.loads(blob)
    checkpoint = content["checkpoint"]
    return Completed(
        round=content["round"],
        member=content["member"],
        attempts=content["attempts"],
        outcome=Outcome(**content["outcome"]),
        checkpoint=Checkpoint(**checkpoint) if checkpoint else None,
    )


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value
