"""What draws and learns, and its replay from the rows of the trial table."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ScriptedTraining, as_bits, run_undisturbed
from strategies import plans, rewards, searchers, trainings

from lfs_ray.errors import RunError
from lfs_ray.search.policy import build_policy
from lfs_ray.search.rewards import advantages
from lfs_ray.search.searcher import NoSpace, Plan, Row, Searcher, no_policy, replay
from lfs_ray.search.space import build_space
from lfs_ray.search.state import PolicyState

SPACE = build_space("margin")
SEARCHER = Searcher(
    method="reinforce",
    space=SPACE,
    policy=build_policy("reinforce", SPACE),
    warmup_theta=(0.05,),
)
PLAN = Plan(name="faces", seed=7, members=4, rounds=6, round_epochs=0.5)


def run_rows(plan: Plan = PLAN) -> list[tuple[Row, ...]]:
    training = ScriptedTraining(seed=5, levels=1000, failures_percent=10)
    return [closed.rows for closed in run_undisturbed(plan, SEARCHER, training).committed]


@settings(deadline=None)
@given(plan=plans(), searcher=searchers(), training=trainings(), data=st.data())
def test_replay_is_live_bit_for_bit_at_any_round(
    plan: Plan, searcher: Searcher, training: ScriptedTraining, data: st.DataObject
) -> None:
    committed = run_undisturbed(plan, searcher, training).committed
    stop = data.draw(st.integers(0, len(committed)))
    rounds = [data.draw(st.permutations(closed.rows)) for closed in committed[:stop]]
    states = replay(plan, searcher, rounds)
    live = [searcher.initial_state()] + [closed.policy_state for closed in committed[:stop]]
    assert [state.digest() for state in states] == [state.digest() for state in live]
    assert states == live


def test_a_replayed_policy_has_moved() -> None:
    states = replay(PLAN, SEARCHER, run_rows())
    assert len({state.digest() for state in states}) == PLAN.rounds + 1


@pytest.mark.parametrize(
    ("column", "change", "seen_in_round"), [("draw_margin", 1e-15, 1), ("reward", 0.1, 2)]
)
def test_replay_sees_a_changed_table(column: str, change: float, seen_in_round: int) -> None:
    rows = run_rows()
    changed = rows[1][2] | {column: float(str(rows[1][2][column])) + change}
    rounds = [rows[0], (*rows[1][:2], changed, *rows[1][3:]), *rows[2:]]
    with pytest.raises(RunError, match=rf"round {seen_in_round} of population faces must hold"):
        replay(PLAN, SEARCHER, rounds)


@pytest.mark.parametrize("change", [("seed", 8), ("members", 5), ("warmup_rounds", 1)])
def test_replay_sees_a_changed_configuration(change: tuple[str, int]) -> None:
    plan = dataclasses.replace(PLAN, **dict([change]))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="round 0 of population faces"):
        replay(plan, SEARCHER, run_rows())


def test_replay_sees_a_missing_trial() -> None:
    with pytest.raises(RunError, match="round 0"):
        replay(PLAN, SEARCHER, [run_rows()[0][:3]])


@settings(deadline=None)
@given(number=st.integers(0, 1000), seed=st.integers(0, 2**31))
def test_a_proposal_is_a_function_of_state_seed_and_round(number: int, seed: int) -> None:
    plan = dataclasses.replace(PLAN, seed=seed)
    state = SEARCHER.initial_state()
    first, again = (SEARCHER.propose(state, plan, number) for _ in range(2))
    next_round = SEARCHER.propose(state, plan, number + 1)
    assert first.draws_BD.tobytes() == again.draws_BD.tobytes()
    assert not np.intersect1d(first.draws_BD, next_round.draws_BD).size
    assert first.size == len(first.margins) == PLAN.members
    assert np.array_equal(first.thetas, SPACE.project(first.draws_BD))
    assert np.array_equal(first.margins, SPACE.margin(np.array(first.thetas)))


def test_a_larger_population_begins_with_the_draws_of_a_smaller_one() -> None:
    state = SEARCHER.initial_state()
    few = SEARCHER.propose(state, PLAN, 3)
    many = SEARCHER.propose(state, dataclasses.replace(PLAN, members=9), 3)
    assert many.thetas[:4] == few.thetas


@settings(deadline=None)
@given(rewards_B=rewards(4))
def test_warmup_measures_and_does_not_learn(rewards_B: list[float]) -> None:
    plan = dataclasses.replace(PLAN, warmup_rounds=2)
    state = SEARCHER.initial_state()
    warm = SEARCHER.propose(state, plan, 1)
    assert (warm.warmup, warm.thetas) == (True, ((0.05,),))
    advantages_B, after = SEARCHER.learn(state, warm, np.array(rewards_B[:1]))
    assert after is state
    assert advantages_B.tolist() == [0.0] or math.isnan(rewards_B[0])
    several = dataclasses.replace(SEARCHER.propose(state, PLAN, 1), warmup=True)
    assert SEARCHER.learn(state, several, np.array([0.1, 0.2, 0.3, 0.4]))[1] is state
    assert not SEARCHER.propose(state, plan, 2).warmup


@settings(deadline=None)
@given(rewards_B=rewards(4))
def test_learning_is_shaping_then_update(rewards_B: list[float]) -> None:
    searcher = dataclasses.replace(SEARCHER, shaping="rank")
    state = searcher.initial_state()
    found_B, after = searcher.learn(state, searcher.propose(state, PLAN, 0), np.array(rewards_B))
    assert found_B.tobytes() == advantages(rewards_B, "rank").tobytes()
    assert np.array_equal(np.isnan(found_B), np.isnan(rewards_B))
    assert (after == state) == (not np.nan_to_num(found_B).any())


def test_floor_of_the_deviation_is_the_searchers() -> None:
    searcher = dataclasses.replace(SEARCHER, advantage_floor=100.0)
    state = searcher.initial_state()
    proposal = searcher.propose(state, PLAN, 0)
    advantages_B, _ = searcher.learn(state, proposal, np.array([0.0, 1.0, 2.0, 3.0]))
    assert advantages_B.tolist() == [-0.015, -0.005, 0.005, 0.015]


@pytest.mark.parametrize("margin", [0.35, math.nan])
def test_a_hand_made_loss_draws_nothing_and_has_its_margin(margin: float) -> None:
    searcher = Searcher(method="none", space=NoSpace(margin), policy=no_policy())
    plan = dataclasses.replace(PLAN, members=2, warmup_rounds=1)
    run = run_undisturbed(plan, searcher, ScriptedTraining(seed=1))
    assert run.population.finished
    rows = [row for closed in run.committed for row in closed.rows]
    assert {as_bits(row["margin"]) for row in rows} == {as_bits(margin)}
    assert not [name for name in rows[0] if name.startswith(("draw_", "theta_", "policy_"))]
    assert searcher.initial_state() == PolicyState(
        mean=(), std=(), first_moment=(), second_moment=()
    )


def test_seeds_tell_members_apart_where_batches_are_not_shared() -> None:
    own = dataclasses.replace(PLAN, shared_batches=False)
    trials = [(number, member) for number in range(3) for member in range(3)]
    assert len({own.trial_seed(*trial) for trial in trials}) == 9
    assert len({PLAN.trial_seed(*trial) for trial in trials}) == 3
