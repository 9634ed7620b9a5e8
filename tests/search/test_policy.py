from __future__ import annotations

import csv
import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfs_ray.errors import ConfigError
from lfs_ray.search.gaussian import GaussianPolicy
from lfs_ray.search.policy import POLICIES, Policy, build_policy
from lfs_ray.search.rewards import advantages
from lfs_ray.search.space import SPACES, SearchSpace, build_space
from lfs_ray.search.state import FinishedRound, PolicySettings, PolicyState

TRACE = Path(__file__).parents[1] / "golden" / "policy_trace.csv"
SPACE = build_space("margin")
PAPER = PolicySettings(start=0.3, sigma=0.2, learning_rate=0.05)


LEARNING = [name for name in POLICIES if build_policy(name, SPACE).learns]
GRADIENTS = ["reinforce", "paper", "reinforce_adaptive", "pgpe"]
NO_PREFIX = {"grid": "more points lie closer", "cma": "members are mirrored from the end"}


def closed(
    draws: object, rewards: object, shaping: str = "std", space: SearchSpace = SPACE
) -> FinishedRound:
    draws_BD = np.asarray(draws, dtype=np.float64).reshape(len(np.asarray(rewards)), -1)
    return FinishedRound(
        draws_BD=draws_BD,
        thetas_BD=space.project(draws_BD) if space.size == draws_BD.shape[1] else draws_BD,
        rewards_B=np.asarray(rewards, dtype=np.float64).ravel(),
        advantages_B=advantages(np.asarray(rewards, dtype=np.float64).ravel(), shaping),
    )


def learned(policy: Policy, rounds: int = 3, seed: int = 0) -> PolicyState:
    """A state that has moments and steps behind it."""
    state, rng = policy.initial_state(), np.random.default_rng(seed)
    for number in range(rounds):
        draws_BD = policy.sample(state, number, 4)
        state = policy.update(state, closed(draws_BD, rng.random(4)))
    return state


def golden() -> list[dict[str, str]]:
    with TRACE.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("score", ["gaussian", "released"])
@pytest.mark.parametrize("shaping", ["std", "range"])
def test_golden_trace(shaping: str, score: str) -> None:
    # Derived in float64: Adam 0.05, betas (0.5, 0.999), eps 1e-8, sigma 0.2, start 0.30. The
    # released score puts -abs(draw), which is executed in a folded space, into the density.
    compat = frozenset({"unfolded_score"} if score == "released" else ())
    space = build_space("raw") if score == "released" else SPACE
    policy = build_policy("reinforce", space, dataclasses.replace(PAPER, compat=compat))
    state, before = policy.initial_state(), 0.0
    rows = [row for row in golden() if (row["shaping"], row["score"]) == (shaping, score)]
    assert len(rows) == 3
    for row in rows:
        draws = [float(row[f"draw_{i}"]) for i in range(4)]
        rewards = [float(row[f"reward_{i}"]) for i in range(4)]
        state = policy.update(state, closed(draws, rewards, shaping, space))
        gradient = 2.0 * state.first_moment[0] - before  # beta1 = 0.5
        before = state.first_moment[0]
        assert gradient == pytest.approx(float(row["gradient"]), abs=1e-8), row
        assert state.mean[0] == pytest.approx(float(row["mean"]), abs=1e-8), row


def test_paper_has_the_numbers_of_the_paper_unless_others_are_given() -> None:
    paper = build_policy("paper", SPACE, PolicySettings(start=0.3))
    asked = build_policy("reinforce", SPACE, PAPER)
    assert paper == asked
    assert paper.initial_state().std == (0.2,)
    own = PolicySettings(start=0.3, sigma=0.1, learning_rate=0.02)
    assert build_policy("paper", SPACE, own) == build_policy("reinforce", SPACE, own)


@pytest.mark.parametrize("name", [name for name in SPACES if SPACES[name].folded])
def test_score_is_that_of_the_draw_before_folding(name: str) -> None:
    space = build_space(name)
    policy = build_policy("reinforce", space, PAPER)
    draws = np.repeat([[0.5], [-0.5]], space.size, axis=1)  # one theta, two draws
    moved = policy.update(policy.initial_state(), closed(draws, [0.9, 0.8]))
    assert moved.first_moment == pytest.approx((0.5 * 0.5 * 1.0 / 0.04 * 1.0,) * space.size)


def gradient_of(policy: Policy, state: PolicyState, members: FinishedRound) -> np.ndarray:
    fresh = dataclasses.replace(state, first_moment=(0.0,) * len(state.mean))
    beta1 = 0.5
    return np.array(policy.update(fresh, members).first_moment) / (1.0 - beta1)


def test_gradient_is_that_of_the_weighted_log_density() -> None:
    space = build_space("margin", 10)
    policy = build_policy("reinforce", space, PolicySettings(start=0.4))
    assert isinstance(policy, GaussianPolicy)
    state = policy.initial_state()
    draws_BD = policy.sample(state, 3, 6)
    members = closed(draws_BD, np.random.default_rng(0).random(6))

    def objective(mean: np.ndarray) -> float:
        at = dataclasses.replace(state, mean=tuple(mean))
        return float(np.mean(members.advantages_B * policy.log_prob(at, draws_BD)))

    step = 1e-5
    slow = [
        (objective(0.4 + step * unit) - objective(0.4 - step * unit)) / (2.0 * step)
        for unit in np.eye(10)
    ]
    np.testing.assert_allclose(gradient_of(policy, state, members), slow, rtol=1e-6, atol=1e-8)


def test_log_prob_is_the_normal_density_of_draws_beyond_the_bounds_too() -> None:
    policy = build_policy("random", SPACE, PolicySettings(start=0.1, sigma=0.5))
    assert isinstance(policy, GaussianPolicy)
    x_N = np.linspace(-4.0, 4.0, 8001)
    density_N = np.exp(policy.log_prob(policy.initial_state(), x_N[:, None]))
    assert float(density_N.sum() * 0.001) == pytest.approx(1.0, abs=1e-9)
    assert float((density_N * x_N).sum() * 0.001) == pytest.approx(0.1, abs=1e-9)


def test_estimator_is_unbiased_where_half_of_the_draws_are_clipped() -> None:
    # Exact: d/dmean E[clip(x)] = P(x inside the bounds), for draws at the lower bound.
    policy = build_policy("reinforce", SPACE, PolicySettings(start=0.0, sigma=0.1))
    state = policy.initial_state()
    draws_ND = policy.sample(state, 0, 200_000)
    rewards_N = SPACE.project(draws_ND)[:, 0]
    members = FinishedRound(
        draws_BD=draws_ND,
        thetas_BD=SPACE.project(draws_ND),
        rewards_B=rewards_N,
        advantages_B=rewards_N - rewards_N.mean(),
    )
    assert gradient_of(policy, state, members)[0] == pytest.approx(0.5, abs=0.01)


@settings(deadline=None, max_examples=40)
@given(
    rewards=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6),
    failed_at=st.integers(0, 6),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("name", LEARNING)
def test_failed_equals_absent_and_order_does_not_show(
    name: str, rewards: list[float], failed_at: int, seed: int
) -> None:
    policy = build_policy(name, build_space("margin", 10))
    state = learned(policy, rounds=1, seed=seed)
    draws_BD = policy.sample(state, seed, len(rewards))
    expected = policy.update(state, closed(draws_BD, rewards))
    with_failed = closed(
        np.insert(draws_BD, min(failed_at, len(rewards)), 9.0, axis=0),
        np.insert(rewards, min(failed_at, len(rewards)), math.nan),
    )
    assert policy.update(state, with_failed).digest() == expected.digest()
    order = np.random.default_rng(seed).permutation(len(rewards))
    shuffled = closed(draws_BD[order], np.array(rewards)[order])
    assert policy.update(state, shuffled).digest() == expected.digest()


def test_a_constant_added_to_rewards_changes_nothing() -> None:
    policy = build_policy("reinforce", SPACE)
    plain = shifted = policy.initial_state()
    rng = np.random.default_rng(0)
    for number in range(20):
        draws_BD, rewards_B = policy.sample(plain, number, 4), rng.random(4) * 0.01
        plain = policy.update(plain, closed(draws_BD, rewards_B))
        shifted = policy.update(shifted, closed(draws_BD, rewards_B + 0.5))
    assert shifted.mean == pytest.approx(plain.mean, abs=1e-12)
    assert plain.step == 20


@pytest.mark.parametrize(
    "rewards",
    [[0.1] * 4, [0.7, 0.7, math.nan, 0.7], [0.9, math.nan, math.nan, math.nan], [math.nan] * 4],
)
def test_rounds_that_tell_nothing_leave_the_state_alone(rewards: list[float]) -> None:
    policy = build_policy("reinforce", SPACE)
    state = learned(policy)
    assert any(state.first_moment), "momentum alone would move the mean"
    assert policy.update(state, closed(policy.sample(state, 9, 4), rewards)) == state


def test_one_member_teaches_nothing_whatever_its_advantage() -> None:
    policy = build_policy("reinforce", SPACE)
    state = learned(policy)
    alone = dataclasses.replace(closed([0.3], [0.9]), advantages_B=np.array([1.0]))
    assert policy.update(state, alone) == state


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("space_name", SPACES)
def test_every_policy_draws_and_updates_over_every_space(name: str, space_name: str) -> None:
    space = build_space(space_name)
    policy = build_policy(name, space)
    state = policy.initial_state()
    draws_ND = policy.sample(state, 5, 4)
    assert draws_ND.shape == (4, space.size)
    assert draws_ND.dtype == np.float64
    assert np.isfinite(draws_ND).all()
    np.testing.assert_array_equal(policy.sample(state, 5, 4), draws_ND)
    if name not in NO_PREFIX:
        np.testing.assert_array_equal(policy.sample(state, 5, 7)[:4], draws_ND)
    members = closed(draws_ND, [0.1, 0.4, 0.2, 0.3], space=space)
    after = policy.update(state, members)
    assert (after != state) == policy.learns
    assert (after.digest() != state.digest()) == policy.learns
    assert policy.update(state, members) == after
    assert len(after.mean) == len(after.std) == space.size
    assert all(math.isfinite(x) for x in (*after.mean, *after.std))
    low, high = space.mean_bounds
    assert all(a <= mu <= b for a, mu, b in zip(low, after.mean, high, strict=True))
    assert np.array_equal(policy.sample(state, 6, 4), draws_ND) == (name in ("fixed", "grid"))


def test_traits_of_the_policies() -> None:
    built = {name: build_policy(name, SPACE) for name in POLICIES}
    resting = ["fixed", "grid", "random", "selection_only"]
    assert [name for name in built if not built[name].learns] == resting
    assert [name for name in built if not built[name].needs_selection] == ["fixed", "random"]


@pytest.mark.parametrize("name", [name for name in POLICIES if name not in LEARNING])
def test_frozen_policies_stay_bit_identical(name: str) -> None:
    policy = build_policy(name, SPACE)
    assert learned(policy, rounds=10).digest() == policy.initial_state().digest()


def test_fixed_draws_its_start_and_random_the_search_s_first_draws() -> None:
    fixed = build_policy("fixed", SPACE, PAPER)
    assert fixed.sample(fixed.initial_state(), 1, 3).tolist() == [[0.3]] * 3
    assert fixed.initial_state().std == (0.0,)
    first = [
        policy.sample(policy.initial_state(), 1, 3).tolist()
        for policy in (
            build_policy(name, SPACE, PAPER)
            for name in ("random", "selection_only", "reinforce", "paper", "reinforce_adaptive")
        )
    ]
    assert first[1:] == first[:1] * 4


def test_draws_have_the_mean_and_deviation_of_the_state() -> None:
    policy = build_policy("random", build_space("margin", 2), PolicySettings(start=(0.2, 0.6)))
    draws_ND = policy.sample(policy.initial_state(), 0, 100_000)
    np.testing.assert_allclose(draws_ND.mean(axis=0), [0.2, 0.6], atol=0.002)
    np.testing.assert_allclose(draws_ND.std(axis=0), 0.1, atol=0.001)
    assert abs(np.corrcoef(draws_ND.T)[0, 1]) < 0.02
    assert (draws_ND < 0.0).any(), "draws are not clipped"


def test_digest_covers_every_field_and_is_stable() -> None:
    state = PolicyState(
        mean=(0.5,), std=(0.25,), first_moment=(0.0,), second_moment=(1.0,), step=3
    )
    digests = {state.digest()}
    for field in dataclasses.fields(PolicyState):
        value = {"step": 4, "history": (((0.75,),),)}.get(field.name, (0.75,))
        digests.add(dataclasses.replace(state, **{field.name: value}).digest())
    assert len(digests) == 1 + len(dataclasses.fields(PolicyState))
    assert state.digest() == "da0af4e6d3a9f496db96724d90ea738a7be1141a7404b3326e0f703a3856d8c3"


def planted(
    start: float, seed: int, slope: float, noise: float, space_name: str = "margin"
) -> float:
    """Distance of the mean over the last 20 of 60 rounds from the planted optimum, margin 0.4."""
    space = build_space(space_name)
    settings = PolicySettings(start=start if space_name == "margin" else None)
    policy = build_policy("reinforce", space, settings)
    state, rng, margins = policy.initial_state(), np.random.default_rng(seed), []
    for number in range(60):
        draws_BD = policy.sample(state, 60 * seed + number, 4)
        error_B = space.margin(space.project(draws_BD)) - 0.4
        rewards_B = -slope * error_B**2 + noise * rng.standard_normal(4)
        state = policy.update(state, closed(draws_BD, rewards_B))
        margins.append(space.margin(space.project(np.array([state.mean])))[0])
    return abs(float(np.mean(margins[-20:])) - 0.4)


@pytest.mark.parametrize("start", [0.1, 0.7])
def test_a_planted_optimum_is_found(start: float) -> None:
    near = [planted(start, seed, slope=1.0, noise=0.002) <= 0.05 for seed in range(20)]
    assert sum(near) >= 19


@pytest.mark.parametrize("start", [0.1, 0.7])
def test_a_ten_times_flatter_optimum_is_found_mostly(start: float) -> None:
    near = [planted(start, seed, slope=0.1, noise=0.004) <= 0.05 for seed in range(20)]
    assert sum(near) >= 15


def test_the_optimum_is_found_in_log_as_in_margin() -> None:
    near = [planted(0.05, seed, 1.0, 0.002, "log") <= 0.05 for seed in range(20)]
    assert sum(near) >= 19


@pytest.mark.parametrize("name", ["raw", "released-global"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_folded_spaces_learn_on_either_side_of_zero(name: str, sign: float) -> None:
    space = build_space(name)
    start = sign * space.default_start[0]
    policy = build_policy("reinforce", space, PolicySettings(start=start))
    state = policy.initial_state()
    target = 2.5 * space.default_start[0]
    for number in range(60):
        draws_BD = policy.sample(state, number, 4)
        state = policy.update(state, closed(draws_BD, -((space.project(draws_BD) - target) ** 2)))
    assert state.mean[0] == pytest.approx(sign * target, abs=0.15)


@pytest.mark.parametrize(("start", "bound", "target"), [(0.1, 0.0, 0.4), (0.9, 1.0, 0.6)])
def test_a_mean_at_a_bound_leaves_it_again(start: float, bound: float, target: float) -> None:
    policy = build_policy("reinforce", SPACE, PolicySettings(start=start))
    state, aim = policy.initial_state(), bound + 3.0 * (bound - 0.5)
    for number in range(80):
        aim = aim if number < 30 else target
        draws_BD = policy.sample(state, number, 4)
        state = policy.update(
            state, closed(draws_BD, -((SPACE.project(draws_BD)[:, 0] - aim) ** 2))
        )
        assert 0.0 <= state.mean[0] <= 1.0
        if number == 29:
            assert abs(state.mean[0] - bound) < 0.1
    assert abs(state.mean[0] - target) < 0.1


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("reinforced", PolicySettings(), "one of fixed, grid, random, .* found 'reinforced'"),
        ("reinforce", PolicySettings(sigma=0.0), "learns must be positive; found 0.0"),
        ("random", PolicySettings(sigma=-1.0), "not negative; found -1.0"),
        ("random", PolicySettings(sigma=math.inf), "finite"),
        ("fixed", PolicySettings(start=1.5), r"\[0, 1\].*found 1.5"),
        ("fixed", PolicySettings(start=math.nan), "found nan"),
        ("fixed", PolicySettings(start=(0.1, 0.2)), "1 numbers; found 2"),
        ("reinforce", PolicySettings(learning_rate=0.0), "learning rate .* found 0.0"),
        ("reinforce", PolicySettings(betas=(0.5, 1.0)), r"betas .* found \(0.5, 1.0\)"),
        ("reinforce", PolicySettings(epsilon=0.0), "epsilon"),
        ("reinforce", PolicySettings(sigma=(0.1, 0.2)), "sigma must hold 1 or 1 .* found 2"),
        (
            "reinforce",
            PolicySettings(learning_rate=(0.1, 0.2)),
            "rate must hold 1 or 1 .* found 2",
        ),
        ("cma", PolicySettings(sigma=0.0), "learns must be positive; found 0.0"),
        ("tpe", PolicySettings(start=2.0), r"\[0, 1\].*found 2.0"),
        ("cma", PolicySettings(compat=frozenset({"unfolded_score"})), "reinforce or paper; found"),
    ],
)
def test_unusable_settings_are_one_line(name: str, settings: PolicySettings, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        build_policy(name, SPACE, settings)
    assert len(caught.value.mistakes) == 1


def test_512_members_take_under_a_millisecond() -> None:
    policy = build_policy("reinforce", SPACE)
    state = policy.initial_state()
    members = closed(policy.sample(state, 0, 512), np.random.default_rng(0).random(512))
    durations_s = []
    for number in range(30):
        begin_s = time.perf_counter()
        policy.update(state, members)
        policy.sample(state, number, 512)
        durations_s.append(time.perf_counter() - begin_s)
    assert min(durations_s) < 1e-3
