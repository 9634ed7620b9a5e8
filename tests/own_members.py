"""Searches whose members keep weights or momentum of their own, and what is kept of them."""

from __future__ import annotations

from scripted_runner import RAISES, Script

from lfs_ray.config.sections import PopulationConfig, SearchConfig
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds

SEARCH = {"policy": "reinforce", "members": 3, "rounds": 5, "round_epochs": 1.0}
KEEP_OWN = {
    "weights": PopulationConfig(
        search=SearchConfig(compat=("fixed_first_epochs", "independent_init"), **SEARCH)
    ),
    "momentum": PopulationConfig(search=SearchConfig(compat=("keep_momentum",), **SEARCH)),
    "both": PopulationConfig(
        search=SearchConfig(compat=("independent_init", "keep_momentum"), seed=9, **SEARCH)
    ),
}
OWN_FAULTS = Script(
    seed=4,
    levels=7,
    faults={("weights", 0, 1): RAISES, ("momentum", 1, 2): RAISES, ("both", 2, 0): RAISES},
)


def needed_checkpoints(storage: Storage, population: str, keep_last: int = 2) -> set[str]:
    """Those of the last round, of the last winners and of the best one."""
    rounds = committed_rounds(storage, population)
    winners = [row for one in rounds for row in one.rows if row["selected"]]
    best = max(winners, key=lambda row: float(str(row["reward"])))
    needed = [*winners[-keep_last:], best, *rounds[-1].rows]
    return {str(row["checkpoint"]) for row in needed if row["checkpoint"]}
