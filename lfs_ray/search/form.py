"""What the search spaces of one name have in common, whatever their size, scale and upper margin.

Place in the data flow: a `SpaceForm` is read by `space.SearchSpace`; `shift_forms` and
`vector_forms` hold the forms there are, `forms.SPACES` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vector = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """Where a search starts and how it moves: D numbers each, in units of the draw."""

    start: Vector
    sigma: Vector
    learning_rate: Vector

    @classmethod
    def uniform(cls, size: int, *, start: float, sigma: float, learning_rate: float) -> Defaults:
        """The same for every one of `size` components."""
        return cls(
            start=(start,) * size, sigma=(sigma,) * size, learning_rate=(learning_rate,) * size
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceForm:
    """What the spaces of one name share."""

    symbols: tuple[str, ...]
    """Names of the blocks of theta, in order; a block of several numbers counts them from 0."""
    unit: str
    """Unit of draw and theta."""
    losses: Mapping[str, int]
    """The searched losses that read this theta, and how many numbers (a bin, if `per_bin`)."""
    per_bin: bool = False
    """Whether the sizes in `losses` are multiplied by the number of bins."""
    folded: bool = False
    """Theta is -abs(draw); otherwise the draw, clipped to the bounds."""
    margins: Callable[[Floats, float], Floats]
    """(theta (B, D), scale) -> equivalent margins (B, K) in cosine units; NaN: there is none."""
    bounds: Callable[[int, float, float], tuple[Vector, Vector]]
    """(size, scale, upper margin) -> least and greatest theta, D numbers each."""
    defaults: Callable[[int, float], Defaults]
    """(size, scale) -> start, sigma and learning rate."""
    size: int | None = None
    """The size this name demands; None: any number of equal blocks."""

    def size_for(self, loss: str, bins: int) -> int:
        """Numbers in theta for a loss of `losses`."""
        return self.losses[loss] * (bins if self.per_bin else 1)

    def names(self, size: int) -> tuple[str, ...]:
        """Names of theta's components: ("margin",), ("margin_0", "margin_1", ...)."""
        length = size // len(self.symbols)
        if length == 1:
            return self.symbols
        return tuple(f"{symbol}_{j}" for symbol in self.symbols for j in range(length))


def no_margin(theta_BD: Floats, scale: float) -> Floats:
    """The equivalent margin of a loss that is no margin loss: NaN, (B, 1)."""
    return np.full((len(theta_BD), 1), np.nan)
