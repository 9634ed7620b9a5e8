"""Hypothesis strategies: rewards with failures and ties, plans and searchers of every policy."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from scripted import ScriptedTraining

from lfs_ray.search.policy import POLICIES, build_policy
from lfs_ray.search.searcher import NoSpace, Plan, Searcher, no_policy
from lfs_ray.search.space import SPACES, build_space

NEVER = 10**9
"""A limit on losses that no test reaches."""


def rewards(members: int) -> st.SearchStrategy[list[float]]:
    """One reward a member, with ties and with NaN for failed members."""
    levels = st.sampled_from([0.0, 0.25, 0.5, math.nan])
    anything = st.floats(0.0, 1.0)
    return st.lists(levels | anything, min_size=members, max_size=members)


@st.composite
def searchers(draw: st.DrawFn) -> Searcher:
    """Any policy over any space, or a hand-made loss."""
    shaping = draw(st.sampled_from(["std", "centre", "range", "rank"]))
    name = draw(st.sampled_from([*SPACES, "none"]))
    if name == "none":
        space = NoSpace(draw(st.sampled_from([0.35, math.nan])))
        return Searcher(method="none", space=space, policy=no_policy(), shaping=shaping)
    size = SPACES[name].size or len(SPACES[name].symbols) * draw(st.sampled_from([1, 3]))
    space_of_theta = build_space(name, size)
    method = draw(st.sampled_from(list(POLICIES)))
    return Searcher(
        method=method,
        space=space_of_theta,
        policy=build_policy(method, space_of_theta),
        shaping=shaping,
        warmup_theta=(0.0,) * size,
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Small populations over few rounds; losses without limit."""
    return Plan(
        name="faces",
        seed=draw(st.integers(0, 2**31)),
        members=draw(st.integers(1, 5)),
        rounds=draw(st.integers(1, 4)),
        round_epochs=draw(st.sampled_from([0.5, 1 / 3])),
        warmup_rounds=draw(st.integers(0, 1)),
        shared_batches=draw(st.booleans()),
        own_weights_rounds=draw(st.sampled_from([0, 0, 2, 3])),
        own_momentum=draw(st.sampled_from([False, False, True])),
        lease_timeout_s=10.0,
        max_retries=draw(st.integers(0, 2)),
        max_losses_per_trial=NEVER,
        backup_trials=draw(st.booleans()),
    )


def trainings() -> st.SearchStrategy[ScriptedTraining]:
    """Scripted trainings, from many ties to none, from no failures to many."""
    return st.builds(
        ScriptedTraining,
        seed=st.integers(0, 2**31),
        levels=st.sampled_from([1, 3, 10**6]),
        failures_percent=st.sampled_from([0, 20, 50]),
    )
