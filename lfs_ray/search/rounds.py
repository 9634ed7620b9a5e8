"""The close of a round: completed trials -> rows, next policy state, next parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lfs_ray.search.messages import Completed, Parent
from lfs_ray.search.searcher import Plan, Proposal, Row, Searcher, Space
from lfs_ray.search.state import PolicyState


@dataclass(frozen=True, slots=True)
class ClosedRound:
    """Rows of a closed round in order of member, the policy after it and its selected trial."""

    rows: tuple[Row, ...]
    policy_state: PolicyState
    parent: Parent
    own: Mapping[int, Parent] = field(default_factory=dict)
    """Every stored trial by member, where the round stores all; else empty."""


def close_round(
    plan: Plan,
    searcher: Searcher,
    state: PolicyState,
    proposal: Proposal,
    parents: Sequence[Parent | None],
    trials: Sequence[Completed],
    *,
    selected: int,
) -> ClosedRound:
    """Close a round whose trials, in order of member, are all complete.

    Args:
        state: the policy that drew the round.
        parents: whose weights each trial started from, in order of member; None: initial weights.
        selected: member whose checkpoint starts the next round.
    """
    rewards_B = np.array([trial.outcome.reward for trial in trials], dtype=np.float64)
    advantages_B, after = searcher.learn(state, proposal, rewards_B)
    stored = {trial.member: _parent(trial) for trial in trials if trial.checkpoint}
    named = stored if plan.stores_all(trials[0].round) else {selected: stored[selected]}
    rows = tuple(
        _identity(plan, searcher, trial)
        | _numbers(searcher.space, state, proposal, trial.member)
        | {
            "advantage": float(advantages_B[trial.member]),
            "parent_round": parent.round if parent else None,
            "parent_member": parent.member if parent else None,
            "selected": trial.member == selected,
        }
        | _costs(trial, named.get(trial.member))
        for trial, parent in zip(trials, parents, strict=True)
    )
    own = named if named is stored else {}
    return ClosedRound(rows, after, stored[selected], own)


def _parent(trial: Completed) -> Parent:
    assert trial.checkpoint is not None
    return Parent(round=trial.round, member=trial.member, checkpoint=trial.checkpoint)


def _identity(plan: Plan, searcher: Searcher, trial: Completed) -> Row:
    outcome = trial.outcome
    return {
        "population": plan.name,
        "method": searcher.method,
        "round": trial.round,
        "member": trial.member,
        "status": "failed" if outcome.error else "ok",
        "reward": outcome.reward,
        "reward_se": outcome.reward_se,
        "seed": plan.trial_seed(trial.round, trial.member),
        "train_loss": outcome.train_loss,
        "epochs": (trial.round + 1) * plan.round_epochs,
    }


def _numbers(space: Space, state: PolicyState, proposal: Proposal, member: int) -> Row:
    row: Row = {"margin": proposal.margins[member]}
    for i, name in enumerate(space.names):
        row[f"draw_{name}"] = float(proposal.draws_BD[member, i])
        row[f"theta_{name}"] = proposal.thetas[member][i]
        row[f"policy_mean_{name}"] = state.mean[i]
        row[f"policy_std_{name}"] = state.std[i]
    return row


def _costs(trial: Completed, kept: Parent | None) -> Row:
    return {
        **trial.outcome.costs,
        "checkpoint": kept.checkpoint.name if kept else None,
        "attempts": trial.attempts,
        "error": trial.outcome.error or None,
    }
