"""Identities by the number of their images, in bins that double.

Data flow: `ClassCounts` -> here -> terminal and page.
"""

from __future__ import annotations

from typing import NamedTuple

from lfs_ray.data.doctor.label_checks import ClassCounts


class Bin(NamedTuple):
    """Identities with `low` to `high` images."""

    low: int
    high: int
    identities: int
    images: int

    @property
    def name(self) -> str:
        """Its range as text."""
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def histogram(classes: ClassCounts) -> list[Bin]:
    """Bins 1, 2, 3-4, 5-8, ... up to the largest class, without the empty ones at either end."""
    bins: list[Bin] = []
    low = high = 1
    largest = int(classes.counts.max(initial=0))
    while low <= largest:
        inside = classes.counts[(classes.counts >= low) & (classes.counts <= high)]
        if bins or len(inside):
            bins.append(Bin(low, high, len(inside), int(inside.sum())))
        low, high = high + 1, 2 * high
    return bins
