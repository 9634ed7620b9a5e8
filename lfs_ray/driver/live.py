"""What a running search shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lfs_ray.errors import LfsRayError
from lfs_ray.execution.coordinator import Standing

_PERIOD_S = 1.0
Ask = Callable[[], tuple[list[Standing], str]]


class LiveDisplay:
    """Shows where the populations stand while it is entered.

    Args:
        console: where to.
        ask: gives the standings; called from a thread of this display.
        round_images: images of a trial, by population.
        live: a live table; else plain lines.
    """

    def __init__(
        self, console: Console, ask: Ask, round_images: Mapping[str, int], *, live: bool
    ) -> None:
        self._console, self._ask, self._round_images = console, ask, round_images
        self._live = Live(console=console, auto_refresh=False) if live else None
        self._seen: dict[str, int] = {}
        self._began_s = time.monotonic()
        self._first_images: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live-display", daemon=True)

    def __enter__(self) -> LiveDisplay:
        if self._live:
            self._live.start()
        self._look()  # Where it starts from: rounds and images are counted from here.
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        if self._live:
            self._live.stop()

    def _follow(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self._look()

    def _look(self) -> None:
        try:
            standings, _ = self._ask()
        except LfsRayError:
            return  # The keeper restarts; the search says so itself if it does not come back.
        rate = self._rate(standings)
        if self._live:
            self._live.update(_table(standings, rate, self._eta_s(standings, rate)), refresh=True)
            return
        for standing in standings:
            before = self._seen.setdefault(standing.population, standing.round)
            if standing.round > before:
                eta_s = self._eta_s(standings, rate)
                self._console.print(_line(standing, rate, eta_s), soft_wrap=True, highlight=False)
                self._seen[standing.population] = standing.round

    def _rate(self, standings: Sequence[Standing]) -> float:
        """Images trained a second since the display began."""
        images = sum(self._trained(standing) for standing in standings)
        if self._first_images is None:
            self._first_images = images
        return (images - self._first_images) / max(time.monotonic() - self._began_s, 1e-9)

    def _trained(self, standing: Standing) -> int:
        members = standing.members or 1
        trials = standing.round * members + standing.complete
        return trials * self._round_images[standing.population]

    def _eta_s(self, standings: Sequence[Standing], rate: float) -> float:
        left = sum(
            ((one.rounds - one.round) * one.members - one.complete)
            * self._round_images[one.population]
            for one in standings
        )
        return left / rate if rate > 0 else math.nan


def _table(standings: Sequence[Standing], rate: float, eta_s: float) -> Table:
    table = Table(title=f"{rate:.0f} images/s, {_duration(eta_s)} left", title_justify="left")
    columns = ("population", "method", "round", "trials", "reward", "policy margin", "std")
    for column in columns:
        table.add_column(column)
    for one in standings:
        table.add_row(
            one.population,
            one.method,
            f"{one.round}/{one.rounds}",
            f"{one.complete}/{one.members}",
            _number(one.reward),
            _number(one.margin),
            _number(one.std),
        )
    return table


def _line(standing: Standing, rate: float, eta_s: float) -> str:
    return (
        f"{standing.population}: round {standing.round}/{standing.rounds}, best reward "
        f"{_number(standing.reward)}, policy margin {_number(standing.margin)}, "
        f"{rate:.0f} images/s, {_duration(eta_s)} left"
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
