"""Generations, journal, commits, and what is deleted when."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lfs_ray.errors import RunError
from lfs_ray.execution.generations import newest_generation, start_generation
from lfs_ray.execution.run_files import RunFiles
from lfs_ray.search.messages import Checkpoint, Completed, Outcome, Parent
from lfs_ray.search.rounds import ClosedRound
from lfs_ray.search.state import PolicyState
from lfs_ray.storage import Buffer, Storage
from lfs_ray.trials.committed import committed_rounds, trials_folder

STATE = PolicyState(mean=(), std=(), first_moment=(), second_moment=())


class Interrupted(Storage):
    """Storage before whose next write something else happens, once."""

    first: Callable[[], object] | None = None

    def write(self, name: str, *parts: Buffer) -> int:
        first, self.first = self.first, None
        if first is not None:
            first()
        return super().write(name, *parts)


@pytest.fixture
def storage(tmp_path: Path) -> Interrupted:
    return Interrupted(tmp_path, fsync=False)


def files_of(
    storage: Storage, generation: int, *, keep_last: int = 1, compact_rounds: int = 0
) -> RunFiles:
    return RunFiles(
        storage, "p", generation, (), keep_last=keep_last, compact_rounds=compact_rounds
    )


def checkpoint_of(storage: Storage, number: int, member: int, token: str = "t") -> Checkpoint:
    name = f"populations/p/checkpoints/round-{number:06d}-member-{member:04d}-{token}.safetensors"
    storage.write(name, b"weights")
    return Checkpoint(name=name, size_bytes=7, digest="d")


def closed(storage: Storage, number: int, reward: float = 0.5, member: int = 0) -> ClosedRound:
    """A closed round of two members, one of them failed; the other's checkpoint is there."""
    checkpoint = checkpoint_of(storage, number, member)
    row = {
        "population": "p",
        "method": "fixed",
        "round": number,
        "status": "ok",
        "reward": reward,
        "reward_se": 0.01,
        "advantage": 0.0,
        "margin": math.nan,
        "parent_round": number - 1 if number else None,
        "parent_member": 0 if number else None,
        "seed": 1,
        "train_loss": 1.0,
        "epochs": 0.5,
        "started_at": 1e9,
    }
    failed = {"status": "failed", "reward": math.nan, "advantage": math.nan}
    rows = (
        {**row, "member": member, "selected": True, "checkpoint": checkpoint.name},
        {**row, "member": 1 - member, "selected": False, **failed},
    )
    return ClosedRound(rows, STATE, Parent(round=number, member=member, checkpoint=checkpoint))


def left(storage: Storage, folder: str = "checkpoints") -> list[int]:
    """Rounds of the files that are left."""
    return [int(name.split("-")[1]) for name in storage.list(f"populations/p/{folder}")]


# ---- generations


def test_generations_rise_and_name_the_first_round_they_write(storage: Interrupted) -> None:
    assert newest_generation(storage) == -1
    assert start_generation(storage, ["p", "q"]) == 0
    files = files_of(storage, 0)
    files.commit(closed(storage, 0))
    files.commit(closed(storage, 1))
    assert start_generation(storage, ["p", "q"]) == 1
    name = next(name for name in storage.list("generations") if name.startswith("000001-"))
    content = json.loads(storage.read(f"generations/{name}"))
    assert content["first_round"] == {"p": 2, "q": 0}


def test_of_two_drivers_that_start_at_once_one_ends(storage: Interrupted) -> None:
    started: list[int] = []
    storage.first = lambda: started.append(start_generation(storage, ["p"]))
    with pytest.raises(RunError, match="one driver at a time"):
        start_generation(storage, ["p"])
    assert started == [0]
    assert len(storage.list("generations")) == 1
    assert start_generation(storage, ["p"]) == 1


def test_driver_that_was_slow_to_start_ends(storage: Interrupted) -> None:
    # The one that took the same number has ended; its successor goes on.
    newer = b'{"generation": 1, "id": "x", "first_round": {"p": 0}}'
    storage.first = lambda: storage.write("generations/000001-x.json", newer)
    with pytest.raises(RunError, match="one driver at a time"):
        start_generation(storage, ["p"])
    assert storage.list("generations") == ["000001-x.json"]


def test_overtaken_driver_commits_nothing(storage: Interrupted) -> None:
    old = files_of(storage, start_generation(storage, ["p"]))
    old.commit(closed(storage, 0))
    start_generation(storage, ["p"])
    with pytest.raises(RunError, match="found generation 1 beside this one, 0"):
        old.commit(closed(storage, 1))
    assert [one.number for one in committed_rounds(storage, "p")] == [0]


def test_driver_overtaken_in_the_middle_of_a_commit_does_no_harm(storage: Interrupted) -> None:
    old = files_of(storage, start_generation(storage, ["p"]))
    late, newer = closed(storage, 0, reward=0.1), checkpoint_of(storage, 0, 1, "newer")
    storage.first = lambda: start_generation(storage, ["p"])
    old.commit(late)
    assert committed_rounds(storage, "p") == []
    assert storage.exists(newer.name)
    files_of(storage, 1).commit(closed(storage, 0, reward=0.9))
    rewards = [one.rows[0]["reward"] for one in committed_rounds(storage, "p")]
    assert rewards == [0.9]


# ---- checkpoints


def test_last_best_and_open_rounds_checkpoints_are_kept(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]), keep_last=2)
    for number, reward in enumerate((0.3, 0.9, 0.5, 0.4)):
        checkpoint_of(storage, number, 1, "beaten")
        open_round = checkpoint_of(storage, number + 1, 0, "open")
        files.commit(closed(storage, number, reward))
        assert storage.exists(open_round.name)
    assert left(storage) == [1, 2, 3, 4]


def test_parent_is_kept_where_nothing_else_is(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]), keep_last=0)
    for number, reward in enumerate((0.9, 0.3, 0.2)):
        files.commit(closed(storage, number, reward))
    assert left(storage) == [0, 2]


def test_what_is_kept_is_known_after_a_restart(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]))
    for number, reward in enumerate((0.9, 0.3)):
        files.commit(closed(storage, number, reward))
    files = files_of(storage, start_generation(storage, ["p"]))
    assert len(files.committed()) == 2
    files.commit(closed(storage, 2, 0.1))
    assert left(storage) == [0, 2]


def test_equal_rewards_keep_the_earlier_as_the_best(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]))
    for number in range(3):
        files.commit(closed(storage, number, 0.5))
    assert left(storage) == [0, 2]


def test_late_upload_is_tidied_away(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]))
    files.commit(closed(storage, 0))
    late = checkpoint_of(storage, 0, 1, "late")
    files.tidy()
    assert not storage.exists(late.name)
    assert left(storage) == [0]


def test_parent_whose_file_is_gone_or_cut_off_is_named(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]))
    files.commit(closed(storage, 0, member=1))
    (committed,) = files.committed()
    parent = files.parent_of(committed)
    assert (parent.round, parent.member, parent.checkpoint.digest) == (0, 1, "d")
    storage.write(parent.checkpoint.name, b"cut")
    with pytest.raises(RunError, match=r"must be a file of 7 bytes, found 3 at .*member-0001"):
        files.parent_of(committed)
    storage.delete(parent.checkpoint.name)
    with pytest.raises(RunError, match="found None at"):
        files.parent_of(committed)


def own_round(storage: Storage, number: int, rewards: tuple[float, ...]) -> ClosedRound:
    """A closed round all of whose trials are stored."""
    best = rewards.index(max(rewards))
    won = closed(storage, number, max(rewards), best)
    own = {
        member: Parent(
            round=number, member=member, checkpoint=checkpoint_of(storage, number, member)
        )
        for member in range(len(rewards))
    }
    rows = tuple(
        {
            **won.rows[0],
            "member": member,
            "reward": reward,
            "selected": member == best,
            "checkpoint": own[member].checkpoint.name,
        }
        for member, reward in enumerate(rewards)
    )
    return ClosedRound(rows, STATE, own[best], own)


def test_trials_that_members_go_on_from_come_back_after_a_restart(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]), compact_rounds=2)
    last = [own_round(storage, number, (0.5, 0.4)) for number in (0, 1)]
    for one in last:
        files.commit(one)
    files = files_of(storage, start_generation(storage, ["p"]))
    rounds = files.committed()
    assert len(storage.list(trials_folder("p"))) == 1
    assert files.own_of(rounds[-1]) == last[-1].own
    assert files.parent_of(rounds[-1]) == last[-1].parent
    storage.write(last[-1].own[1].checkpoint.name, b"cut")
    with pytest.raises(RunError, match=r"must be a file of 7 bytes, found 3 at .*member-0001"):
        files.own_of(rounds[-1])


def test_all_checkpoints_of_the_last_round_alone_are_kept(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]))
    files.commit(own_round(storage, 0, (0.9, 0.4)))
    files.commit(own_round(storage, 1, (0.3, 0.4)))
    assert left(storage) == [0, 1, 1]
    files = files_of(storage, start_generation(storage, ["p"]))
    files.committed()
    files.tidy()
    assert left(storage) == [0, 1, 1]
    files.commit(closed(storage, 2))
    assert left(storage) == [0, 2]


def test_round_with_one_stored_trial_has_nothing_of_its_own(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]))
    files.commit(closed(storage, 0))
    (committed,) = files.committed()
    assert files.own_of(committed) == {}
    assert sorted(committed.metadata) == [
        "checkpoint_bytes",
        "checkpoint_digest",
        "generation",
        "policy_digest",
    ]


# ---- journal


def test_journal_gives_back_what_was_written(storage: Interrupted) -> None:
    files = files_of(storage, 0)
    outcome = Outcome(
        reward=0.1 + 0.2,
        reward_se=1 / 3,
        train_loss=math.pi,
        costs={"worker": "0", "train_s": 1.5},
    )
    stored = Completed(
        round=3, member=1, attempts=2, outcome=outcome, checkpoint=checkpoint_of(storage, 3, 1)
    )
    discarded = Completed(round=3, member=0, attempts=1, outcome=outcome, checkpoint=None)
    other = replace(discarded, round=4)
    for completed in (stored, discarded, other):
        files.write_journal(completed)
    assert files.read_journal(3) == [discarded, stored]
    assert files.read_journal(4) == [other]
    assert files.read_journal(5) == []


def test_failed_trial_is_tried_again_by_a_resume(storage: Interrupted) -> None:
    files = files_of(storage, 0)
    failed = Completed(
        round=0, member=0, attempts=2, outcome=Outcome(error="E: x"), checkpoint=None
    )
    files.write_journal(failed)
    assert files.read_journal(0) == []


def test_entry_whose_checkpoint_is_not_whole_does_not_count(storage: Interrupted) -> None:
    files = files_of(storage, 0)
    checkpoint = checkpoint_of(storage, 0, 0)
    entry = Completed(
        round=0, member=0, attempts=1, outcome=Outcome(reward=0.5), checkpoint=checkpoint
    )
    files.write_journal(entry)
    assert [one.checkpoint for one in files.read_journal(0)] == [checkpoint]
    storage.write(checkpoint.name, b"weig")
    assert files.read_journal(0) == []


def test_commit_clears_the_journal_of_its_round(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]))
    for number in (0, 1):
        files.write_journal(
            Completed(
                round=number, member=1, attempts=1, outcome=Outcome(reward=0.1), checkpoint=None
            )
        )
    files.commit(closed(storage, 0))
    assert left(storage, "journal") == [1]


# ---- compaction


def test_every_nth_commit_compacts(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]), compact_rounds=2)
    counts = []
    for number in range(5):
        files.commit(closed(storage, number))
        counts.append(len(storage.list(trials_folder("p"))))
    assert counts == [1, 1, 2, 2, 3]
    assert [one.number for one in committed_rounds(storage, "p")] == list(range(5))


def test_what_is_remembered_does_not_grow_with_the_rounds(storage: Interrupted) -> None:
    files = files_of(storage, start_generation(storage, ["p"]), keep_last=3, compact_rounds=2)
    sizes = []
    for number in range(12):
        files.commit(closed(storage, number, 1.0 / (1 + number)))
        sizes.append(len(repr(vars(files))))
    assert sizes[-1] < sizes[4] + 40  # less than a name
    assert left(storage) == [0, 9, 10, 11]


def test_start_of_a_trial_becomes_a_time_of_day(storage: Interrupted) -> None:
    files_of(storage, start_generation(storage, ["p"])).commit(closed(storage, 0))
    (committed,) = committed_rounds(storage, "p")
    assert str(committed.rows[0]["started_at"]) == "2001-09-09 01:46:40+00:00"
