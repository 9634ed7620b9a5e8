"""Many kills over as many runs as they take, each run compared with the undisturbed one.

A kill that hit nothing, since the search was through before its turn, comes again in the next run.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cluster_nodes import Nodes
from siege import PROCESSES, Kill, Siege, Strike, shuffled_kills
from targets import Reference, differences
from traps import POINTS

KILLS_PER_RUN = {"scripted": 12, "real": 5}
RUNS_MAX = 3
"""Times as many runs as the kills would fill."""
REAL_POINTS = ("checkpoint-half", "commit-half", "generation")
ONLY_REAL = "results"


def kinds_of(trainer: str, num_kills: int) -> list[str]:
    """What to kill: processes and points in turn, as many as asked for."""
    points = REAL_POINTS if trainer == "real" else [p for p in POINTS if p != ONLY_REAL]
    extra = [ONLY_REAL] if trainer == "real" else []
    in_turn = [*PROCESSES, *points, *extra]
    kinds = [*in_turn, *in_turn, *PROCESSES]
    return list(itertools.islice(itertools.cycle(kinds), num_kills))


@dataclass
class Campaign:
    """All runs of one trainer."""

    trainer: str
    reference: Reference
    kills: list[Kill]
    sieges: list[Siege] = field(default_factory=list)
    """The runs."""

    def wage(self, nodes: Nodes, folder: Path) -> None:
        """Run after run until every kill has hit."""
        left, size = list(self.kills), KILLS_PER_RUN[self.trainer]
        most = RUNS_MAX * -(-len(left) // size)
        while left:
            assert len(self.sieges) < most, f"{left} hit nothing in {most} runs"
            batch, left = _in_order(left[:size]), left[size:]
            own = folder / f"{self.trainer}-{len(self.sieges)}"
            own.mkdir()
            siege = Siege(self.reference.target(own, nodes.address), nodes)
            self.sieges.append(siege)
            left = siege.run(batch) + left
            found = differences(siege.target.outcome(), self.reference.outcome)
            siege.num_differences = len(found)

    @property
    def num_differences(self) -> int:
        """Pieces of all runs that differ."""
        return sum(siege.num_differences for siege in self.sieges)

    @property
    def endings(self) -> list[str]:
        """Last words of drivers that ended by themselves."""
        return [words for siege in self.sieges for words in siege.endings]

    def strikes(self, kind: str) -> list[Strike]:
        """The kills of a kind that hit."""
        return [one for siege in self.sieges for one in siege.strikes if one.kind == kind]

    def table(self) -> Iterator[str]:
        """Lines of a table: a row a kind."""
        yield (
            f"{self.trainer}: {len(self.kills)} kills in {len(self.sieges)} runs, each of "
            f"{len(self.reference.outcome)} rows and weights; seconds from the kill until "
            f"a trial is complete and until every population has closed a round: median / max"
        )
        yield _row("killed", "planned", "hit", "a trial, s", "rounds, s", "differ")
        for kind in sorted({kill.kind for kill in self.kills}, key=[*PROCESSES, *POINTS].index):
            hit = self.strikes(kind)
            differ = sum(
                siege.num_differences
                for siege in self.sieges
                if any(strike.kind == kind for strike in siege.strikes)
            )
            yield _row(
                kind,
                sum(kill.kind == kind for kill in self.kills),
                len(hit),
                _times(one.trial_s for one in hit),
                _times(one.rounds_s for one in hit),
                differ,
            )


def _in_order(kills: list[Kill]) -> list[Kill]:
    """What happens at a start first, what happens at the end last."""
    return sorted(kills, key=lambda kill: (kill.kind == ONLY_REAL, kill.kind != "generation"))


def _times(seconds: Iterable[float | None]) -> str:
    measured = [one for one in seconds if one is not None]
    return f"{statistics.median(measured):.1f} / {max(measured):.1f}" if measured else "-"


def _row(*cells: object) -> str:
    widths = (22, 8, 4, 14, 14, 7)
    return "".join(f"{cell!s:>{width}}" for cell, width in zip(cells, widths, strict=True))


def campaign(trainer: str, reference: Reference, num_kills: int, seed: int) -> Campaign:
    """Kills at seeded instants."""
    draw = random.Random(f"{trainer} {seed}")
    return Campaign(trainer, reference, shuffled_kills(kinds_of(trainer, num_kills), draw))
