"""Names of the keys: the dotted paths below a section, their types, the nearest to a misspelt one.

A path is `section.key`, or `populations.NAME.section.key` and `report.NAME.key` for named tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

NAME_RULE = "lower-case letters, digits and underscores"
_NAME = re.compile(r"[a-z0-9_]+")
_ANY_NAME = "NAME"


def fields_of(cls: type) -> dict[str, Any]:
    """Return the fields of the dataclass `cls` with their resolved types, in order."""
    hints = get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(cls)}


def named_entry(kind: Any) -> Any:
    """Return X where `kind` is a table of named entries, dict[str, X]; else None."""
    return get_args(kind)[1] if get_origin(kind) is dict else None


def is_name(name: str) -> bool:
    """Whether `name` may name a population or a report set (it becomes a flag and a folder)."""
    return _NAME.fullmatch(name) is not None


def paths_of(cls: type, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and type of every section and key below `cls`; named tables as NAME."""
    for name, kind in fields_of(cls).items():
        path = join(where, name)
        yield path, kind
        entry = named_entry(kind)
        if entry is not None:
            yield from paths_of(entry, join(path, _ANY_NAME))
        elif is_dataclass(kind) and isinstance(kind, type):
            yield from paths_of(kind, path)


def join(where: str, name: str) -> str:
    """Return `name` as a path below `where`."""
    return f"{where}.{name}" if where else name


@cache
def key_types(cls: type) -> dict[str, Any]:
    """Return every key that takes a value: path (named tables as NAME) to type."""
    return {
        path: kind
        for path, kind in paths_of(cls)
        if not is_dataclass(kind) and named_entry(kind) is None
    }


def key_type(cls: type, path: str) -> Any:
    """Return the type of the key at `path`, which may name any entry; None where there is none."""
    return key_types(cls).get(_anonymous(cls, path))


def nearest(cls: type, path: str) -> str | None:
    """Return the valid path most like the unknown `path`, or None where none is near.

    A key that is right but stands in the wrong section is found before a misspelt one.
    """
    anonymous = _anonymous(cls, path)
    paths = [known for known, _ in paths_of(cls)]
    last = anonymous.rpartition(".")[2]
    same_key = [known for known in paths if known.rpartition(".")[2] == last]
    close = get_close_matches(anonymous, same_key or paths, n=1, cutoff=0.0 if same_key else 0.6)
    if not close:
        return None
    return close[0].replace(_ANY_NAME, _name_in(cls, path) or _ANY_NAME)


def _name_in(cls: type, path: str) -> str | None:
    """Return the entry that `path` names (`main` of populations.main.search), if it names one."""
    table, _, rest = path.partition(".")
    name = rest.partition(".")[0]
    return name if name and named_entry(fields_of(cls).get(table)) is not None else None


def _anonymous(cls: type, path: str) -> str:
    name = _name_in(cls, path)
    return path if name is None else path.replace(f".{name}", f".{_ANY_NAME}", 1)
