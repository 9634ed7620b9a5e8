"""How far a packing is: a bar with the time left on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from lfs_ray.commands.progress import shown_progress

_LINE_EVERY_S = 15.0


class PackingCount:
    """Images packed in this call, and how fast."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._start = self._done = 0
        self._total: int | None = None

    @property
    def num_packed(self) -> int:
        """Images packed since the first call of `update`."""
        return self._done - self._start

    @property
    def images_per_s(self) -> float:
        """Rate since the start."""
        return self.num_packed / max(time.monotonic() - self._began_s, 1e-9)

    def update(self, done: int, total: int) -> None:
        """Take in that `done` of `total` images are packed."""
        if self._total is None:
            self._start = done
        self._done, self._total = done, total

    def line(self) -> str:
        """One line on how far it is."""
        total, rate = self._total or 0, self.images_per_s
        left_s = round((total - self._done) / rate) if rate else 0
        left = f", {timedelta(seconds=left_s)} left" if rate else ""
        return f"packing: {self._done} of {total} images, {rate:.0f} images/s{left}"


@contextmanager
def packing_progress(count: PackingCount) -> Iterator[Callable[[int, int], None]]:
    """A function that takes images done and images in all, counts them and shows them."""
    with shown_progress("packing") if sys.stderr.isatty() else _lines(count) as show:

        def watch(done: int, total: int) -> None:
            count.update(done, total)
            show(done, total)

        yield watch


@contextmanager
def _lines(count: PackingCount) -> Iterator[Callable[[int, int], None]]:
    last_s = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _LINE_EVERY_S:
            last_s = time.monotonic()
            print(count.line(), file=sys.stderr, flush=True)

    yield show
