"""Members that keep weights or momentum of their own: where they start, what is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from lfs_ray.search.messages import Checkpoint, Completed, Lease, Outcome, Verdict, WorkerId
from lfs_ray.search.policy import build_policy
from lfs_ray.search.population import Population
from lfs_ray.search.rounds import ClosedRound
from lfs_ray.search.searcher import Plan, Searcher
from lfs_ray.search.space import build_space

SPACE = build_space("margin")
SEARCHER = Searcher(
    method="reinforce",
    space=SPACE,
    policy=build_policy("reinforce", SPACE),
    warmup_theta=(0.3,),
)
PLAN = Plan(name="faces", seed=7, members=3, rounds=5, round_epochs=1.0, max_retries=0)
OWN_WEIGHTS = dataclasses.replace(PLAN, own_weights_rounds=3)
OWN_MOMENTUM = dataclasses.replace(PLAN, own_momentum=True)
FAILS = float("nan")


def leases_of(machine: Population) -> list[Lease]:
    """All leases of the open round, in order of member."""
    found = []
    while (lease := machine.lease(WorkerId(index=len(found), incarnation="a"), 0.0)) is not None:
        found.append(lease)
    return sorted(found, key=lambda lease: lease.member)


def checkpoint(lease: Lease) -> Checkpoint:
    return Checkpoint(name=f"{lease.round}-{lease.member}", size_bytes=1, digest="d")


def play(machine: Population, rewards: Sequence[float]) -> tuple[list[Lease], ClosedRound]:
    """A round, the members one after the other; what they were leased and how it closed."""
    held = leases_of(machine)
    for lease, reward in zip(held, rewards, strict=True):
        outcome = Outcome(reward=reward)
        if machine.report(lease, outcome, 0.0) is Verdict.KEEP:
            machine.stored(lease, outcome, checkpoint(lease))
    closed = machine.closed()
    assert closed
    machine.advance(closed)
    return held, closed


def starts(held: Sequence[Lease]) -> list[tuple[int, int] | None]:
    """Round and member whose weights each lease starts from."""
    return [(lease.parent.round, lease.parent.member) if lease.parent else None for lease in held]


def momenta(held: Sequence[Lease]) -> list[tuple[int, int] | None]:
    """Round and member whose momentum each lease takes instead."""
    return [
        (lease.momentum.round, lease.momentum.member) if lease.momentum else None for lease in held
    ]


# ---- own weights


def test_members_continue_from_themselves_and_are_first_copied_after_the_last_own_round() -> None:
    machine = Population(OWN_WEIGHTS, SEARCHER, "boot")
    found = [starts(play(machine, (0.1, 0.9, 0.5))[0]) for _ in range(5)]
    assert found == [
        [None, None, None],
        [(0, 0), (0, 1), (0, 2)],
        [(1, 0), (1, 1), (1, 2)],
        [(2, 1), (2, 1), (2, 1)],
        [(3, 1), (3, 1), (3, 1)],
    ]


def test_initial_weights_are_each_members_own() -> None:
    own = [lease.init_seed for lease in leases_of(Population(OWN_WEIGHTS, SEARCHER, "boot"))]
    common = [lease.init_seed for lease in leases_of(Population(PLAN, SEARCHER, "boot"))]
    assert len(set(own)) == 3
    assert len(set(common)) == 1
    again = leases_of(Population(OWN_WEIGHTS, SEARCHER, "other boot"))
    assert [lease.init_seed for lease in again] == own


def test_batches_and_seeds_stay_common() -> None:
    held = leases_of(Population(OWN_WEIGHTS, SEARCHER, "boot"))
    assert len({(lease.seed, lease.stream_seed) for lease in held}) == 1


def test_warm_up_trains_every_member_while_they_go_on_from_themselves() -> None:
    plan = dataclasses.replace(OWN_WEIGHTS, warmup_rounds=2)
    machine = Population(plan, SEARCHER, "boot")
    at_rest = machine.policy_state
    for _ in range(2):
        held, _ = play(machine, (0.1, 0.9, 0.5))
        assert [lease.theta for lease in held] == [(0.3,)] * 3
        assert machine.policy_state == at_rest
    held, _ = play(machine, (0.1, 0.9, 0.5))
    assert len({lease.theta for lease in held}) == 3
    assert machine.policy_state != at_rest
    assert starts(leases_of(machine)) == [(2, 1)] * 3


def test_warm_up_that_is_longer_goes_on_with_one_member() -> None:
    plan = dataclasses.replace(OWN_WEIGHTS, own_weights_rounds=1, warmup_rounds=2)
    machine = Population(plan, SEARCHER, "boot")
    play(machine, (0.1, 0.9, 0.5))
    assert starts(leases_of(machine)) == [(0, 1)]


def test_member_that_failed_continues_from_the_winner() -> None:
    machine = Population(OWN_WEIGHTS, SEARCHER, "boot")
    play(machine, (0.1, 0.9, FAILS))
    held, closed = play(machine, (0.1, 0.2, 0.3))
    assert starts(held) == [(0, 0), (0, 1), (0, 1)]
    parents = [(row["parent_round"], row["parent_member"]) for row in closed.rows]
    assert parents == [(0, 0), (0, 1), (0, 1)]


def test_rows_tell_whose_weights_a_trial_had_and_where_its_own_are() -> None:
    machine = Population(OWN_WEIGHTS, SEARCHER, "boot")
    rounds = [play(machine, (0.1, 0.9, 0.5))[1] for _ in range(4)]
    parents = [[row["parent_member"] for row in closed.rows] for closed in rounds]
    assert parents == [[None] * 3, [0, 1, 2], [0, 1, 2], [1, 1, 1]]
    names = [[row["checkpoint"] for row in closed.rows] for closed in rounds]
    assert names == [
        ["0-0", "0-1", "0-2"],
        ["1-0", "1-1", "1-2"],
        [None, "2-1", None],
        [None, "3-1", None],
    ]
    assert [sorted(closed.own) for closed in rounds] == [[0, 1, 2], [0, 1, 2], [], []]


# ---- own momentum


def test_momentum_stays_with_the_member_and_weights_are_the_winners() -> None:
    machine = Population(OWN_MOMENTUM, SEARCHER, "boot")
    held, _ = play(machine, (0.1, 0.9, 0.5))
    assert (starts(held), momenta(held)) == ([None] * 3, [None] * 3)
    held, _ = play(machine, (0.1, FAILS, 0.5))
    assert starts(held) == [(0, 1)] * 3
    assert momenta(held) == [(0, 0), None, (0, 2)]
    held, _ = play(machine, (0.5, 0.5, 0.5))
    assert starts(held) == [(1, 2)] * 3
    assert momenta(held) == [(1, 0), None, None]


def test_nobody_takes_momentum_of_another_where_nobody_keeps_its_own() -> None:
    for plan in (PLAN, OWN_WEIGHTS):
        machine = Population(plan, SEARCHER, "boot")
        for _ in range(4):
            assert momenta(play(machine, (0.1, 0.9, 0.5))[0]) == [None] * 3


def test_both_at_once() -> None:
    machine = Population(dataclasses.replace(OWN_WEIGHTS, own_momentum=True), SEARCHER, "boot")
    found = []
    for _ in range(4):
        held, _ = play(machine, (0.1, 0.9, 0.5))
        found.append((starts(held), momenta(held)))
    assert found[2] == ([(1, 0), (1, 1), (1, 2)], [None] * 3)
    assert found[3] == ([(2, 1)] * 3, [(2, 0), None, (2, 2)])


# ---- what is stored


@pytest.mark.parametrize("plan", [OWN_WEIGHTS, OWN_MOMENTUM])
def test_every_trial_is_stored_before_it_is_complete(plan: Plan) -> None:
    machine = Population(plan, SEARCHER, "boot")
    held = leases_of(machine)
    best, *others = held
    machine.report(best, Outcome(reward=0.9), 0.0)
    for lease in others:
        assert machine.report(lease, Outcome(reward=0.1), 0.0) is Verdict.KEEP
    machine.stored(best, Outcome(reward=0.9), checkpoint(best))
    assert machine.num_complete == 1
    assert machine.report(others[0], Outcome(reward=0.1), 0.0) is Verdict.KEEP
    for lease in others:
        assert machine.closed() is None
        machine.stored(lease, Outcome(reward=0.1), checkpoint(lease))
    assert [entry.checkpoint for entry in machine.take_completed()] == [*map(checkpoint, held)]
    assert machine.closed()


def test_trial_without_a_checkpoint_is_not_adopted() -> None:
    entries = [
        Completed(
            round=0,
            member=member,
            attempts=1,
            outcome=Outcome(reward=reward),
            checkpoint=Checkpoint(name="c", size_bytes=1, digest="d") if stored else None,
        )
        for member, reward, stored in ((0, 0.9, True), (1, 0.1, False), (2, 0.2, True))
    ]
    for plan, complete in ((OWN_WEIGHTS, 2), (OWN_MOMENTUM, 2), (PLAN, 3)):
        machine = Population(plan, SEARCHER, "boot")
        machine.adopt(entries)
        assert machine.num_complete == complete


def test_resumed_machine_stands_where_the_live_one_did() -> None:
    plan = dataclasses.replace(OWN_WEIGHTS, own_momentum=True)
    live = Population(plan, SEARCHER, "boot")
    for number in range(4):
        _, closed = play(live, (0.1, 0.9, FAILS))
        machine = Population(plan, SEARCHER, "boot2")
        machine.resume(closed.policy_state, closed.parent, closed.own)
        assert machine.round == number + 1
        resumed = leases_of(machine)
        going_on = leases_of(live)
        for one, other in zip(resumed, going_on, strict=True):
            assert dataclasses.replace(one, token=other.token) == other
        for index in range(len(going_on)):
            live.release(WorkerId(index=index, incarnation="a"))
