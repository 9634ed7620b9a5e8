"""Dataclasses to TOML: the resolved configuration as it stands in a run directory.

Sections are written whole; a population or method only where it differs from what it would inherit
of `search` and `loss` when it is read back. Floats are written in full precision.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import tomli_w

from lfs_ray.config.inherit import base_of, base_of_method
from lfs_ray.config.sections import Config


def dump_toml(config: Config) -> str:
    """Return `config` as TOML text; reading the text gives an equal configuration.

    Keys that are None are left out, or `none` where leaving them out would inherit another value.
    """
    table = _whole(config)
    table["populations"] = {
        name: _difference(one, base_of(config.search, config.loss, one.loss.name))
        for name, one in config.populations.items()
    }
    table["methods"] = {
        name: _difference(one, base_of_method(config.search, config.loss, one.loss.name))
        for name, one in config.methods.items()
    }
    return tomli_w.dumps({name: value for name, value in table.items() if value != {}})


def _whole(section: Any) -> dict[str, Any]:
    """Return every key of a section that is not None."""
    table: dict[str, Any] = {}
    for item in fields(section):
        value = getattr(section, item.name)
        if isinstance(value, dict):
            table[item.name] = {name: _whole(entry) for name, entry in value.items()}
        elif is_dataclass(value):
            table[item.name] = _whole(value)
        elif value is not None:
            table[item.name] = value
    return table


def _difference(section: Any, base: Any) -> dict[str, Any]:
    """Return the keys of a section whose values are not those of `base`."""
    table: dict[str, Any] = {}
    for item in fields(section):
        value, inherited = getattr(section, item.name), getattr(base, item.name)
        if value == inherited:
            continue
        if is_dataclass(value):
            table[item.name] = _difference(value, inherited)
        else:
            table[item.name] = "none" if value is None else value
    return table
