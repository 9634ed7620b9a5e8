"""The files that a search writes while it runs: generations, journal, rounds, parents.

One commit point a round: the round file. Everything else can be lost or left over without harm.
What is deleted is deleted after a commit, and only by the keeper of the run (the policy actor, or
the serial executor): nothing that the last round, the last K parents, the best one or the open
round refer to.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from lfs_ray.errors import RunError
from lfs_ray.execution.generations import generation_numbers
from lfs_ray.execution.journal import decode_entry, encode_entry, entry_name, round_of
from lfs_ray.search.messages import Checkpoint, Completed, Lease, Parent
from lfs_ray.search.rounds import ClosedRound
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds, trials_folder
from lfs_ray.trials.compaction import compact
from lfs_ray.trials.ownership import round_name
from lfs_ray.trials.rounds import Round, encode_round

_ROUND = re.compile(r"round-(\d+)-")
_OWN = "own_checkpoints"


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
        self._closed = 0
        self._parents: dict[int, str] = {}
        self._last: set[str] = set()
        self.notices: list[str] = []

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
        return max(generation_numbers(self.storage, self.generation))

    def check_newest(self) -> None:
        """Find no newer driver.

        Raises:
            RunError: it has taken over the run, or the storage fails.
        """
        newest = self._newest()
        if newest != self.generation:
            raise RunError(
                f"the newest driver alone writes to the run {self.storage.url}, found generation "
                f"{newest} beside this one, {self.generation}: this driver ends"
            )

    def commit(self, closed: ClosedRound) -> None:
        """Write a closed round: the commit point; then delete what nothing refers to any more.

        Raises:
            RunError: a newer driver has taken over the run, or the storage fails.
        """
        self.check_newest()
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
            compact(self.storage, self.population, self.generation, self.compact_rounds)

    def write_journal(self, completed: Completed) -> None:
        """Write a completed trial down; a failed one is not: a resume tries it again."""
        if completed.outcome.error:
            return
        name = entry_name(completed.round, completed.member)
        self.storage.write(f"{self._folder}/journal/{name}", encode_entry(completed))

    def read_journal(self, number: int) -> list[Completed]:
        """Completed trials of the open round `number` whose checkpoints, if any, are whole.

        What is damaged is left out, and `notices` name it.
        """
        found = []
        for name in self.storage.list(f"{self._folder}/journal"):
            # A driver that is ending may remove an entry that it has committed.
            with contextlib.suppress(FileNotFoundError):
                if round_of(name) == number and (entry := self._entry(name)):
                    found.append(entry)
        return [one for one in found if one.checkpoint is None or self.is_whole(one.checkpoint)]

    def _entry(self, name: str) -> Completed | None:
        path = f"{self._folder}/journal/{name}"
        try:
            return decode_entry(self.storage.read(path), name, f"{self._folder}/checkpoints")
        except ValueError as error:
            self.notices.append(
                f"{self.storage.path(path)} must be a complete trial as lfs-ray wrote it, found "
                f"something else ({error}): left out, the trial is trained again"
            )
            return None

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

    def _note(self, rows: Sequence[Mapping[str, object]]) -> None:
        self._last = {str(row["checkpoint"]) for row in rows if row.get("checkpoint")}
        row = next(row for row in rows if row["selected"])
        name, reward = str(row["checkpoint"]), row["reward"]
        assert isinstance(reward, float)
        self._closed = _integer(row["round"]) + 1
        self._parents[self._closed - 1] = name
        for number in sorted(self._parents)[: -max(self.keep_last, 1)]:
            del self._parents[number]
        self._best = max(self._best, (reward, name), key=lambda pair: pair[0])

    def tidy(self) -> None:
        """Delete checkpoints and journal entries of committed rounds that nobody needs.

        A driver that was overtaken deletes nothing: its successor may be at these rounds again.
        """
        if self._newest() != self.generation:
            return
        keep = {*self._parents.values(), *self._last, self._best[1]}
        for folder in ("checkpoints", "journal", "trials"):
            with contextlib.suppress(RunError):
                self.storage.sweep(f"{self._folder}/{folder}")
        for folder in ("checkpoints", "journal"):
            for name in self.storage.list(f"{self._folder}/{folder}"):
                path = f"{self._folder}/{folder}/{name}"
                known = _ROUND.match(name)
                if known and int(known[1]) < self._closed and path not in keep:
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


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value
