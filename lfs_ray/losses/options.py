"""What may be set of a loss: one documented option a number, choice or switch, with its range.

A LossSpec (spec.py) names its options; the configuration and `build_loss` read values through
them, and docs/losses.md is written from them. No tensors here.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = float | int | str | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A finite number from `low` to `high`, either end left out where it is open."""

    default: float
    doc: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    @property
    def allowed(self) -> str:
        """The range in words: "in [0, 2)"."""
        kind = "a whole number in" if self.whole else "in"
        left = "(" if self.open_low or math.isinf(self.low) else "["
        right = ")" if self.open_high or math.isinf(self.high) else "]"
        return f"{kind} {left}{self.low:.5g}, {self.high:.5g}{right}"

    def read(self, value: Value) -> Value:
        """The value as a number of this option.

        Raises:
            ValueError: not a number, or out of range.
        """
        number = float(value) if not isinstance(value, bool) else math.nan
        below = number < self.low or (self.open_low and number == self.low)
        above = number > self.high or (self.open_high and number == self.high)
        fractional = self.whole and number != math.floor(number)
        if not math.isfinite(number) or below or above or fractional:
            raise ValueError(self.allowed)
        return int(number) if self.whole else number


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of several names."""

    default: str
    doc: str
    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """The names in words."""
        return f"one of {', '.join(self.names)}"

    def read(self, value: Value) -> Value:
        """The value, if it is one of the names.

        Raises:
            ValueError: it isn't.
        """
        if value not in self.names:
            raise ValueError(self.allowed)
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """On or off."""

    default: bool
    doc: str

    @property
    def allowed(self) -> str:
        """The values in words."""
        return "true or false"

    def read(self, value: Value) -> Value:
        """The value as a bool; the words `true` and `false` count.

        Raises:
            ValueError: anything else.
        """
        words: dict[Value, bool] = {"true": True, "false": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        if not isinstance(value, bool):
            raise ValueError(self.allowed)
        return value


Option: TypeAlias = Number | Choice | Switch


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """What to do about an unknown name: the nearest ones, or "choose one of them"."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"did you mean {' or '.join(repr(one) for one in near)}?" if near else "choose one"
