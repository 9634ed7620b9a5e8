"""Where the trials of a round start: at the winner of the round before, or at what is their own.

Usually all members continue from one parent. Members that keep their own weights for some rounds,
or their own momentum for good, need every trial of the round before (`Plan.stores_all`); one that
failed there continues from the winner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lfs_ray.search.messages import Parent
from lfs_ray.search.searcher import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What the open round continues from."""

    winner: Parent | None = None
    """The selected trial of the round before; None: there is no round before."""
    own: Mapping[int, Parent] = field(default_factory=dict)
    """Its stored trials by member, where all were stored; else empty."""

    def weights(self, plan: Plan, number: int, member: int) -> Parent | None:
        """Whose weights and optimizer state a member of round `number` starts from."""
        if number < plan.own_weights_rounds:
            return self.own.get(member, self.winner)
        return self.winner

    def momentum(self, plan: Plan, number: int, member: int) -> Parent | None:
        """Whose momentum replaces that beside the weights; None: nobody's."""
        own = self.own.get(member) if plan.own_momentum else None
        return None if own == self.weights(plan, number, member) else own
