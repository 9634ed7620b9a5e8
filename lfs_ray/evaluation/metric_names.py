"""The grammar of metric names: a text to weights, families and options as written.

Before `metrics`, which knows the families. A text is terms joined by `+`; a term is
`[weight *] name [@ key=value, ...]`. `rank5` is `rank` with k = 5, `map@k=10` the family `map@k`;
`precision@1` and `map@r` have no option, their @ belongs to the name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

Value = str | float | int

# Not the sign of an exponent, as in 1e+2.
_SUM = re.compile(r"(?<![0-9.][eE])\+")
_WEIGHTED = re.compile(r"([^*]*)\*(.*)", re.DOTALL)
_NUMBERED = re.compile(r"(rank|top)([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class WrittenTerm:
    """One term as written."""

    weight: float
    name: str
    family: str
    """Empty where the name cannot be one."""
    options: Mapping[str, str]


def read_terms(text: str) -> tuple[WrittenTerm, ...]:
    """Terms of a text, in order.

    Raises:
        ValueError: a weight is not a positive number, an option is not key=value.

    >>> [(term.weight, term.family) for term in read_terms("0.7*accuracy + 0.3*rank5")]
    [(0.7, 'accuracy'), (0.3, 'rank')]
    """
    return tuple(_read_term(part.strip(), text) for part in _SUM.split(text))


def read_number(what: str, written: str, text: str) -> float:
    """A number in a text.

    Raises:
        ValueError: it is none.
    """
    try:
        return float(written)
    except ValueError:
        raise ValueError(f"{what} must be a number, found {written!r} in {text!r}") from None


def write_term(family: str, values: Mapping[str, Value]) -> str:
    """Canonical name of a family with its options.

    >>> write_term("rank", {"k": 5}), write_term("tar", {"far": 0.001, "rule": "at_most"})
    ('rank5', 'tar@far=0.001,rule=at_most')
    """
    if family in ("rank", "top"):
        return f"{family}{values['k']}"
    if family == "map@k":
        return f"map@k={values['k']}"
    options = ",".join(f"{key}={value}" for key, value in values.items())
    return f"{family}@{options}" if options else family


def write_weight(weight: float) -> str:
    """Shortest text that reads back as the same number."""
    return f"{weight:g}" if float(f"{weight:g}") == weight else repr(weight)


def _read_term(part: str, text: str) -> WrittenTerm:
    weight, name = 1.0, part
    if match := _WEIGHTED.fullmatch(part):
        weight, name = read_number("the weight", match[1].strip(), text), match[2].strip()
        if not 0 < weight < math.inf:
            raise ValueError(f"weights of a metric must be positive, found {weight:g} in {text!r}")
    return WrittenTerm(weight, name, *_split(name, text))


def _split(name: str, text: str) -> tuple[str, dict[str, str]]:
    if match := _NUMBERED.fullmatch(name):
        return match[1], {"k": match[2]}
    family, _, rest = (side.strip() for side in name.partition("@"))
    if family in ("rank", "top"):
        return "", {}
    if "=" not in rest:
        return name, {}
    options: dict[str, str] = {}
    for item in rest.split(","):
        key, equals, value = (side.strip() for side in item.partition("="))
        if not equals or key in options:
            raise ValueError(
                f"options of a metric must be key=value, each once, found {item!r} in {text!r}"
            )
        options[key] = value
    return ("map@k" if family == "map" and "k" in options else family), options
