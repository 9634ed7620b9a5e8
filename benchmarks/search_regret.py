"""Regret of every search method on synthetic rewards, against the number of trials.

    python benchmarks/search_regret.py [--small] [--policies NAME ...] [--dimensions N ...]
                                       [--seeds N] [--first-seed N]

Prints Markdown. Every search runs on each of landscapes.LANDSCAPES with the defaults of its policy
and `std` shaping, as in a run. Regret is in points of accuracy (hundredths): that of the policy's
mean after so many trials ("mean"), and that of all draws until then ("draws"), means over seeds
with 95 % intervals of Student's t. Nothing is trained and no torch imported.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from landscapes import LANDSCAPES, SPACES, Landscape
from numpy.typing import NDArray
from scipy import stats

from lfs_ray.search.policy import POLICIES, build_policy
from lfs_ray.search.rewards import advantages
from lfs_ray.search.space import SearchSpace
from lfs_ray.search.state import FinishedRound, PolicySettings
from lfs_ray.seeds import derive_seed

Floats = NDArray[np.float64]

ROUNDS = 30
SEEDS = 20
SHARES = (0.25, 0.5, 1.0)
POINTS = 100.0
CELLS = ((1, 4), (10, 4), (24, 4), (24, 8))
"""Dimensions and members."""
KEY_LANDSCAPES = ("noisy", "drifting", "rising")
"""Where, in one dimension, the default must not be beaten."""
SLOW = ("tpe",)
"""Left out in the most dimensions, where it alone would take minutes."""


@dataclass(frozen=True)
class Trace:
    """Regrets of one search, one number a round."""

    mean_R: Floats
    draws_R: Floats
    """Average over all draws so far."""


def search(
    name: str,
    landscape: Landscape,
    space: SearchSpace,
    members: int,
    seed: int,
    rounds: int = ROUNDS,
    settings: PolicySettings | None = None,
) -> Trace:
    """One search; common seeds give all policies the same noise."""
    policy = build_policy(name, space, settings)
    state, rng = policy.initial_state(), np.random.default_rng(seed)
    of_means, of_draws, total_B = [], [], np.zeros(members)
    for number in range(rounds):
        progress = number / (rounds - 1)
        draws_BD = policy.sample(state, derive_seed(seed, "draw", number), members)
        theta_BD = space.project(draws_BD)
        rewards_B = landscape.rewards(space, theta_BD, progress, rng)
        advantages_B = advantages(rewards_B)
        finished = FinishedRound(
            draws_BD=draws_BD, thetas_BD=theta_BD, rewards_B=rewards_B, advantages_B=advantages_B
        )
        state, total_B = policy.update(state, finished), total_B + advantages_B
        # A grid's outcome is its best point so far; all others have a mean.
        best_1D = theta_BD[[np.argmax(total_B)]] if name == "grid" else np.array([state.mean])
        of_draws.append(landscape.regret(space, theta_BD, progress).mean())
        of_means.append(landscape.regret(space, space.project(best_1D), progress)[0])
    return Trace(np.array(of_means), np.cumsum(of_draws) / np.arange(1, rounds + 1))


Cell = dict[str, dict[str, list[Trace]]]
"""Traces by landscape and policy, one a seed."""


def run_cell(names: Sequence[str], dimensions: int, members: int, seeds: int, rounds: int) -> Cell:
    return {
        landscape.name: {
            name: [
                search(name, landscape, SPACES[dimensions], members, seed, rounds)
                for seed in seeds
            ]
            for name in names
        }
        for landscape in LANDSCAPES.values()
    }


def half_width(values_S: Floats) -> float:
    """Half of the 95 % interval of the mean."""
    quantile = stats.t.ppf(0.975, len(values_S) - 1)
    return float(quantile * values_S.std(ddof=1) / math.sqrt(len(values_S)))


def at(traces: Sequence[Trace], what: str, share: float) -> Floats:
    """Regrets in points after a share of the trials, one a seed."""
    regrets_SR = np.array([getattr(trace, what) for trace in traces])
    return POINTS * regrets_SR[:, math.ceil(share * regrets_SR.shape[1]) - 1]


def beaten(one_S: Floats, other_S: Floats) -> bool:
    """Whether the other's regret is surely lower, seed by seed."""
    more_S = one_S - other_S
    return bool(more_S.mean() - half_width(more_S) > 0.0)


def text(values_S: Floats) -> str:
    return f"{values_S.mean():.3f} \N{PLUS-MINUS SIGN} {half_width(values_S):.3f}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def print_matrix(cell: Cell, what: str) -> None:
    """Regret after all trials; bold: nobody is surely better."""
    columns = []
    for by_policy in cell.values():
        values = {name: at(traces, what, 1.0) for name, traces in by_policy.items()}
        columns.append(
            [
                text(one)
                if any(beaten(one, other) for other in values.values())
                else f"**{text(one)}**"
                for one in values.values()
            ]
        )
    names = list(next(iter(cell.values())))
    print_table(
        ["policy", *cell], [[name, *row] for name, *row in zip(names, *columns, strict=True)]
    )


def print_course(cell: Cell) -> None:
    """Regret against the number of trials."""
    shares = [f"{share:.0%}" for share in SHARES]
    print_table(
        [
            "reward",
            "policy",
            *(f"mean, {it}" for it in shares),
            *(f"draws, {it}" for it in shares),
        ],
        [
            [
                landscape,
                name,
                *(text(at(traces, "mean_R", share)) for share in SHARES),
                *(text(at(traces, "draws_R", share)) for share in SHARES),
            ]
            for landscape, by_policy in cell.items()
            for name, traces in by_policy.items()
        ],
    )


def print_verdicts(cell: Cell) -> None:
    """Who is surely better than a policy on the landscapes that choose the default."""
    names = list(next(iter(cell.values())))
    rows = []
    for name in names:
        row = [name]
        for landscape in KEY_LANDSCAPES:
            values = {other: at(cell[landscape][other], "mean_R", 1.0) for other in names}
            better = [other for other in names if beaten(values[name], values[other])]
            row.append(", ".join(better) or "nobody")
        rows.append(row)
    print_table(["surely better than", *KEY_LANDSCAPES], rows)


def print_cell(cell: Cell, dimensions: int, members: int, rounds: int) -> None:
    print(f"## {dimensions} dimensions, {members} members, {rounds * members} trials\n")
    print("Regret of the policy's mean after all trials:\n")
    print_matrix(cell, "mean_R")
    print("Regret of all draws:\n")
    print_matrix(cell, "draws_R")
    if dimensions == 1:
        print("The same against the share of the trials:\n")
        print_course(cell)
        print("After all trials, by the regret of the mean:\n")
        print_verdicts(cell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="two seeds, eight rounds")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--dimensions", nargs="+", type=int, choices=SPACES, default=list(SPACES))
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    number, rounds = (2, 8) if given.small else (given.seeds, ROUNDS)
    seeds = range(given.first_seed, given.first_seed + number)
    begin_s = time.process_time()
    for dimensions, members in CELLS[:2] if given.small else CELLS:
        names = [name for name in given.policies if dimensions < 24 or name not in SLOW]
        if dimensions in given.dimensions:
            cell = run_cell(names, dimensions, members, seeds, rounds)
            print_cell(cell, dimensions, members, rounds)
    print(f"{number} seeds, {rounds} rounds, {time.process_time() - begin_s:.0f} s of one core")


if __name__ == "__main__":
    main()
