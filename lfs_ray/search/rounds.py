"""The close of a round: completed trials -> rows, next policy state, next parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def close_round(
    plan: Plan,
    searcher: Searcher,
    state: PolicyState,
    proposal: Proposal,
    parent: Parent | None,
    trials: Sequence[Completed],
    *,
    selected: int,
) -> ClosedRound:
    """Close a round whose trials, in order of member, are all complete.

    Args:
        state: the policy that drew the round.
        parent: where the round's trials started; None: initial weights.
        selected: member whose checkpoint starts the next round.
    """
    rewards_B = np.array([trial.outcome.reward for trial in trials], dtype=np.float64)
    advantages_B, after = searcher.learn(state, proposal, rewards_B)
    rows = tuple(
        _identity(plan, searcher, trial)
        | _numbers(searcher.space, state, proposal, trial.member)
        | {
            "advantage": float(advantages_B[trial.member]),
            "parent_round": parent.round if parent else None,
            "parent_member": parent.member if parent else None,
            "selected": trial.member == selected,
        }
        | _costs(trial, selected)
        for trial in trials
    )
    checkpoint = trials[selected].checkpoint
    assert checkpoint is not None
    return ClosedRound(
        rows, after, Parent(round=trials[0].round, member=selected, checkpoint=checkpoint)
    )


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


def _costs(trial: Completed, selected: int) -> Row:
    chosen = trial.member == selected and trial.checkpoint is not None
    return {
        **trial.outcome.costs,
        "checkpoint": trial.checkpoint.name if chosen and trial.checkpoint else None,
        "attempts": trial.attempts,
        "error": trial.outcome.error or None,
    }
