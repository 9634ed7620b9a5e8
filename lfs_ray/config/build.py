"""Tables to dataclasses: TOML's nested tables, checked strictly, become sections.

Every mistake is collected as one line that says what must hold, what was found and what to do; the
instance built beside them takes the base's value wherever there was a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, TypeVar

from lfs_ray.config.inherit import base_of, base_of_method, with_usual_members
from lfs_ray.config.keys import NAME_RULE, fields_of, is_name, join, named_entry, nearest
from lfs_ray.config.sections import (
    Config,
    MethodConfig,
    PopulationConfig,
    SearchConfig,
)
from lfs_ray.config.values import example, expected, from_toml, from_words, show

T = TypeVar("T")

SHORT_FOR = {"reward": "metric"}
"""Sections that a text alone may stand for, and the key of theirs that it then is."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words that followed a flag: a leaf of a table, not yet read as its field's type."""

    words: tuple[str, ...]


def build_config(table: Mapping[str, Any], *, place: str) -> tuple[Config, list[str]]:
    """Build a whole configuration; populations and methods inherit `search` and `loss`.

    Args:
        table: nested tables of TOML values, flags among them as `Words`.
        place: what the table was read from, for messages.

    Returns:
        The configuration and its mistakes, one line each.
    """
    table = written_out(table)
    own = {name: value for name, value in table.items() if name not in ("populations", "methods")}
    shared, mistakes = build(Config, own, place=place)
    loss = shared.loss
    table_of_search = own.get("search")
    named = isinstance(table_of_search, Mapping) and "members" in table_of_search

    def search_of(loss_name: str) -> SearchConfig:
        return shared.search if named else with_usual_members(shared.search, loss_name)

    populations, wrong_populations = _named(
        PopulationConfig,
        table.get("populations", {}),
        base=lambda entry: base_of(
            search_of(_loss_name(entry, shared)), loss, _loss_name(entry, shared)
        ),
        where="populations",
        place=place,
    )
    methods, wrong_methods = _named(
        MethodConfig,
        table.get("methods", {}),
        base=lambda entry: base_of_method(
            search_of(_loss_name(entry, shared)), loss, _loss_name(entry, shared)
        ),
        where="methods",
        place=place,
    )
    config = replace(shared, search=search_of(loss.name), populations=populations, methods=methods)
    return config, mistakes + wrong_populations + wrong_methods


def written_out(table: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the table in which `reward = "NAME"` is the key `metric` of its section."""
    return {
        name: {SHORT_FOR[name]: value} if name in SHORT_FOR and isinstance(value, str) else value
        for name, value in table.items()
    }


def _loss_name(entry: object, shared: Config) -> str:
    """The loss that a population's table names."""
    loss = entry.get("loss") if isinstance(entry, Mapping) else None
    name = loss.get("name") if isinstance(loss, Mapping) else None
    words = name.words if isinstance(name, Words) else (name,)
    return words[0] if len(words) == 1 and isinstance(words[0], str) else shared.loss.name


def build(
    cls: type[T], table: object, *, base: T | None = None, where: str = "", place: str = ""
) -> tuple[T, list[str]]:
    """Build a section from a table.

    Args:
        cls: the section's dataclass; every field has a default.
        table: TOML values by key; keys left out come from `base`.
        base: instance with the values of missing keys; None: the defaults of `cls`.
        where: path of the section, empty for the whole configuration.
        place: what the table was read from, for messages.

    Returns:
        The section and its mistakes, one line each.
    """
    start = cls() if base is None else base
    if not isinstance(table, Mapping):
        return start, [_not_a_table(where, table, place)]
    kinds = fields_of(cls)
    mistakes: list[str] = []
    values = {name: getattr(start, name) for name in kinds}
    for name, value in table.items():
        path = join(where, name)
        if name not in kinds:
            mistakes.append(_unknown(path, list(kinds), place))
            continue
        values[name], more = _value(kinds[name], value, values[name], path, place)
        mistakes += more
    return cls(**values), mistakes


def _value(
    kind: Any, value: object, base: object, path: str, place: str
) -> tuple[object, list[str]]:
    """Build what stands at `path`: a section, named entries, or a plain value."""
    if named_entry(kind) is not None:
        return _named(named_entry(kind), value, base=None, where=path, place=place)
    if is_dataclass(kind) and isinstance(kind, type):
        return build(kind, value, base=base, where=path, place=place)
    try:
        if isinstance(value, Words):
            return from_words(kind, value.words), []
        return from_toml(kind, value), []
    except ValueError:
        return base, [_wrong_type(kind, value, path, place)]


def _named(
    cls: type[T],
    table: object,
    *,
    base: Callable[[object], T] | None,
    where: str,
    place: str,
) -> tuple[dict[str, T], list[str]]:
    """Build a table of named entries, each over the base of its table."""
    if not isinstance(table, Mapping):
        return {}, [_not_a_table(where, table, place)]
    entries: dict[str, T] = {}
    mistakes: list[str] = []
    for name, entry in table.items():
        path = join(where, name)
        if not is_name(name):
            mistakes.append(
                f"names in {where} must be {NAME_RULE}, got {show(name)} {_at(place)}: rename it"
            )
        start = None if base is None else base(entry)
        entries[name], more = build(cls, entry, base=start, where=path, place=place)
        mistakes += more
    return entries, mistakes


def _at(place: str) -> str:
    return f"in {place}"


def _not_a_table(where: str, value: object, place: str) -> str:
    return (
        f"{where} must be a table, got {show(value)} {_at(place)}: "
        f"write its keys below the line [{where}]"
    )


def _unknown(path: str, siblings: list[str], place: str) -> str:
    near = " or ".join(nearest(path))
    advice = f"did you mean {near}?" if near else f"valid here are {', '.join(siblings)}"
    return f"keys must be known, got {path} {_at(place)}: {advice}"


def _wrong_type(kind: Any, value: object, path: str, place: str) -> str:
    must = f"{path} must be {expected(kind)}"
    if isinstance(value, Words):
        found = " ".join(map(show, value.words)) or "nothing"
        sample = example(kind, " ".join(value.words)).strip('[]"')
        return f"{must}, got {found} on the command line: write it like --{path} {sample}"
    key = path.rpartition(".")[2]
    return f"{must}, got {show(value)} {_at(place)}: write it like {key} = {example(kind, value)}"
