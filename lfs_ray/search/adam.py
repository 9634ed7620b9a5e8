"""Adam (Kingma and Ba, 2015, Algorithm 1), upwards, over plain tuples of floats.

Place in the data flow: the gradient of a policy -> moves of its parameters and the next moments.
Plain Python arithmetic: the same bits whatever the vector width of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Vector = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Adam:
    """Steps of size `learning_rate`, one for each parameter."""

    learning_rate: Vector
    betas: tuple[float, float]
    epsilon: float

    def moves(
        self, first: Vector, second: Vector, gradient: Sequence[float], step: int
    ) -> tuple[Vector, Vector, Vector]:
        """What to add to the parameters, and both moments after the update that `step` counts."""
        beta1, beta2 = self.betas
        first = _decayed(first, gradient, beta1)
        second = _decayed(second, [g * g for g in gradient], beta2)
        moves = []
        for rate, m, v in zip(self.learning_rate, first, second, strict=True):
            slope = m / (1.0 - beta1**step)
            size = math.sqrt(v / (1.0 - beta2**step)) + self.epsilon
            moves.append(rate * slope / size)
        return tuple(moves), first, second


def _decayed(moment: Vector, new: Sequence[float], beta: float) -> Vector:
    return tuple(beta * m + (1.0 - beta) * x for m, x in zip(moment, new, strict=True))
