"""Names of the keys: the dotted paths of a configuration, their types, the nearest to a wrong one.

A path is `section.key`, or `populations.NAME.section.key` and `report.NAME.key` for named tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from lfs_ray.config.sections import Config

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


def join(where: str, name: str) -> str:
    """Return `name` as a path below `where`."""
    return f"{where}.{name}" if where else name


@cache
def key_types() -> dict[str, Any]:
    """Return every key that takes a value: path (named tables as NAME) to type."""
    return {
        path: kind
        for path, kind in _paths(Config).items()
        if not is_dataclass(kind) and named_entry(kind) is None
    }


def key_type(path: str) -> Any:
    """Return the type of the key at `path`, which may name any entry; None where there is none."""
    return key_types().get(_anonymous(path))


def nearest(path: str) -> list[str]:
    """Return the valid paths that an unknown `path` may have meant; empty where none is near.

    A key that is right in another section comes before a misspelt one of the same section, and
    this one before a misspelt section.
    """
    anonymous = _anonymous(path)
    where, _, key = anonymous.rpartition(".")
    paths = list(_paths(Config))
    elsewhere = [known for known in paths if known.rpartition(".")[2] == key]
    elsewhere = [known for known in elsewhere if _table(known) == _table(path)] or elsewhere
    siblings = [known for known in paths if known.rpartition(".")[0] == where]
    near_keys = get_close_matches(key, [known.rpartition(".")[2] for known in siblings], n=1)
    near_paths = [] if siblings and where else get_close_matches(anonymous, paths, n=1)
    found = elsewhere or [join(where, near) for near in near_keys] or near_paths
    return [known.replace(_ANY_NAME, _name_in(path) or _ANY_NAME) for known in found]


def _paths(cls: type, where: str = "") -> dict[str, Any]:
    """Return path and type of every section and key below `cls`."""
    return dict(_walk(cls, where))


def _walk(cls: type, where: str) -> Iterator[tuple[str, Any]]:
    for name, kind in fields_of(cls).items():
        path = join(where, name)
        yield path, kind
        entry = named_entry(kind)
        if entry is not None:
            yield from _walk(entry, join(path, _ANY_NAME))
        elif is_dataclass(kind) and isinstance(kind, type):
            yield from _walk(kind, path)


def _named(path: str) -> bool:
    """Whether `path` lies in a table of named entries."""
    return named_entry(fields_of(Config).get(path.partition(".")[0])) is not None


def _table(path: str) -> str:
    """Return the table of named entries that `path` lies in; empty where it lies in none."""
    return path.partition(".")[0] if _named(path) else ""


def _name_in(path: str) -> str | None:
    """Return the entry that `path` names (`main` of populations.main.search), if it names one."""
    _, _, rest = path.partition(".")
    name = rest.partition(".")[0]
    return name if name and _named(path) else None


def _anonymous(path: str) -> str:
    name = _name_in(path)
    return path if name is None else path.replace(f".{name}", f".{_ANY_NAME}", 1)
