"""The command line: `--section.key VALUE ...` laid over the tables of the file, and the help.

Flags are keys: they join the file's tables before anything is built, so that one reader checks
both and a population inherits a flag exactly as it inherits a key of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import tyro

from lfs_ray.config.build import SHORT_FOR, Words, build_config, written_out
from lfs_ray.config.keys import key_type, nearest
from lfs_ray.config.resolve import IMPLICIT_POPULATION
from lfs_ray.config.sections import Config, ReportConfig

_HELP = ("-h", "--help")
_NAMED_TABLES = (
    "Every --search.KEY and --loss.KEY is also --populations.NAME.search.KEY and "
    "--populations.NAME.loss.KEY, for that population alone; in a comparison --methods.NAME... "
    "for a method, which has --methods.NAME.margins too."
)


def parse_flags(
    args: Sequence[str],
    table: Mapping[str, Any],
    *,
    prog: str,
    description: str = "",
    place: str = "the configuration",
) -> tuple[Config, list[str]]:
    """Build the configuration of a file's tables and the flags over them.

    Args:
        args: words of the command line; `-h` or `--help` among them prints the help and exits 0.
        table: nested TOML tables of the file; empty without a file.
        prog: name of the command in the help.
        description: what the command does, for the help.
        place: the file's name, for messages.

    Returns:
        The configuration and its mistakes, one line each; ranges are not checked.
    """
    wants_help = any(word in _HELP for word in args)
    words = [word for word in args if word not in _HELP]
    flags, mistakes = split_flags(words, populations=_population_names(table))
    config, more = build_config(overlay(table, flags), place=place)
    if wants_help:
        print_help(config, prog=prog, description=description)
    return config, mistakes + more


def split_flags(
    args: Sequence[str], *, populations: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Sort words into flags: path to the words after it (or after `=`); the last one counts.

    Hyphens and underscores mean the same. A misspelt population would silently train one more, so
    flags reach only those in `populations`.

    Returns:
        The known flags and the mistakes.
    """
    flags: dict[str, list[str]] = {}
    mistakes: list[str] = []
    words: list[str] | None = None
    for word in args:
        if not word.startswith("--"):
            if words is None:
                mistakes.append(_stray(word))
            else:
                words.append(word)
            continue
        flag, equals, value = word[2:].partition("=")
        path = flag.replace("-", "_")
        path = f"{path}.{SHORT_FOR[path]}" if path in SHORT_FOR else path
        words = [value] if equals else []
        if key_type(path) is None:
            mistakes.append(_unknown(path))
        elif path.startswith("populations.") and path.split(".")[1] not in populations:
            mistakes.append(_unknown_population(path, populations))
        else:
            flags[path] = words
    return {path: tuple(words) for path, words in flags.items()}, mistakes


def overlay(table: Mapping[str, Any], flags: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a copy of the nested `table` with the flags' words at their paths."""
    merged = {name: _copy(value) for name, value in written_out(table).items()}
    for path, words in flags.items():
        *sections, key = path.split(".")
        section: Any = merged
        for name in sections:
            section = section.setdefault(name, {}) if isinstance(section, dict) else section
        if isinstance(section, dict):  # what is no table is the file's mistake, found later
            section[key] = Words(words)
    return merged


def print_help(config: Config, *, prog: str, description: str) -> None:
    """Print every flag with the text below its field and its value in `config`.

    Raises:
        SystemExit: always, with 0.
    """
    report = config.report or {"NAME": ReportConfig()}
    tyro.cli(
        tyro.conf.FlagConversionOff[Config],
        default=replace(config, populations={}, report=report),
        args=["--help"],
        prog=prog,
        description="\n\n".join(part for part in (description, _NAMED_TABLES) if part),
    )


def _population_names(table: Mapping[str, Any]) -> list[str]:
    populations = table.get("populations")
    return (
        list(populations)
        if isinstance(populations, dict) and populations
        else [IMPLICIT_POPULATION]
    )


def _copy(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _copy(item) for name, item in value.items()}


def _stray(word: str) -> str:
    return (
        f"flags must be written --section.key VALUE, got {word!r} before any flag: "
        "put the flag it belongs to before it"
    )


def _unknown_population(path: str, populations: Sequence[str]) -> str:
    return (
        f"flags must name a population of the configuration, got --{path} on the command line: "
        f"it has {', '.join(populations)}"
    )


def _unknown(path: str) -> str:
    near = " or ".join(f"--{known}" for known in nearest(path) if key_type(known) is not None)
    advice = f"did you mean {near}?" if near else "--help lists the flags"
    return f"flags must be known, got --{path} on the command line: {advice}"
