"""One value of the configuration: from TOML or from words of the command line to its field's type.

Both readers follow the same rules, so that a key means the same in a file and as a flag: whole
numbers may stand for numbers, nothing else is converted, `none` unsets a key that may be unset.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, Literal, get_args, get_origin

_NOUNS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_PLURALS = {bool: "true or false", int: "whole numbers", float: "numbers", str: "texts"}
_EXAMPLES = {bool: "true", int: "4", float: "0.5", str: '"text"'}
_NONE = "none"


def optional_of(kind: Any) -> tuple[Any, bool]:
    """Split `X | None` into (X, True); any other type is (kind, False)."""
    if get_origin(kind) is not UnionType:
        return kind, False
    (inner,) = (arg for arg in get_args(kind) if arg is not type(None))
    return inner, True


def from_toml(kind: Any, value: object) -> object:
    """Return `value`, read from TOML, as a value of the type `kind`.

    Raises:
        ValueError: it is of another type, or not one of the choices.
    """
    inner, may_be_none = optional_of(kind)
    if may_be_none and isinstance(value, str) and value.lower() == _NONE:
        return None
    if get_origin(inner) is tuple:
        if get_args(inner)[0] is float:
            value = _numbers(value)
        if not isinstance(value, list):
            raise ValueError("not a list")
        return tuple(from_toml(get_args(inner)[0], item) for item in value)
    if get_origin(inner) is Literal:
        return _choice(inner, value)
    if inner is float and type(value) is int:
        return _float(value)
    if type(value) is not inner:
        raise ValueError("another type")
    return value


def from_words(kind: Any, words: Sequence[str]) -> object:
    """Return the words that followed a flag as a value of the type `kind`.

    Raises:
        ValueError: too few or too many words, or one that cannot be read as `kind`.
    """
    inner, may_be_none = optional_of(kind)
    if get_origin(inner) is tuple:
        if get_args(inner)[0] is float and [word.lower() for word in words] == [_NONE]:
            return ()
        return tuple(from_words(get_args(inner)[0], [word]) for word in words)
    (word,) = words
    if may_be_none and word.lower() == _NONE:
        return None
    if get_origin(inner) is Literal:
        return _choice(inner, word)
    if inner is bool:
        return _bool(word)
    return inner(word)


def _numbers(value: object) -> object:
    """A list of numbers: one number stands for a list of one, `none` for an empty one."""
    if isinstance(value, str) and value.lower() == _NONE:
        return []
    return [value] if type(value) in (int, float) else value


def _choice(kind: Any, value: object) -> object:
    if value not in get_args(kind):
        raise ValueError("not a choice")
    return value


def _bool(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise ValueError("neither true nor false")
    return word.lower() == "true"


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError("too large") from error


def expected(kind: Any) -> str:
    """Say what a value of the type `kind` must be, for messages."""
    inner, may_be_none = optional_of(kind)
    if get_origin(inner) is tuple:
        item = get_args(inner)[0]
        noun = (
            f"a number or a list of {_plural(item)}"
            if item is float
            else (f"a list of {_plural(item)}")
        )
    elif get_origin(inner) is Literal:
        noun = f"one of {', '.join(get_args(inner))}"
    else:
        noun = _NOUNS[inner]
    return f"{noun} or none" if may_be_none else noun


def _plural(kind: Any) -> str:
    names = get_args(kind) if get_origin(kind) is Literal else ()
    return f"names among {', '.join(names)}" if names else _PLURALS[kind]


def example(kind: Any, value: object) -> str:
    """Give a value of the type `kind` as it is written in TOML, for a message about `value`."""
    inner, _ = optional_of(kind)
    if get_origin(inner) is tuple:
        item = get_args(inner)[0]
        return example(item, value) if item is float else f"[{example(item, value)}]"
    if get_origin(inner) is Literal:
        choices = get_args(inner)
        return f'"{(get_close_matches(str(value), choices, n=1) or choices)[0]}"'
    return _EXAMPLES[inner]


def show(value: object) -> str:
    """Write a value on one line as it may stand in TOML, for messages.

    The values of keys are tuples: one number alone is shown as the number that it was given as.
    """
    if value is None:
        return _NONE
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], float):
        return show(value[0])
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, dict):
        return "a table"
    return repr(value) if isinstance(value, str) else str(value)
