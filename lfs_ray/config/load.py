"""A file and a command line to a checked configuration: TOML, flags over it, all mistakes at once.

    file --read_toml--> tables --flags--> Config --check--> Config, or one ConfigError

`resolve` and `dump_toml` turn the result into what a run directory keeps.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lfs_ray.config.build import build_config
from lfs_ray.config.check import check
from lfs_ray.config.flags import parse_flags
from lfs_ray.config.ranges import range_mistakes
from lfs_ray.config.sections import Config
from lfs_ray.errors import ConfigError

Check = Callable[[Config], list[str]]

_POSITION = re.compile(r"^(.*) \(at (.*)\)$", re.DOTALL)


def load_config(
    path: str | None,
    args: Sequence[str],
    *,
    prog: str,
    description: str = "",
    adapt: Callable[[Config], Config] | None = None,
    more: Check | None = None,
) -> Config:
    """Read the file at `path` (None: defaults), lay the flags over it and check the result.

    The configuration isn't resolved: populations may be implicit, seeds None. `adapt` changes it
    before it is checked; `more` finds what this room cannot know of, told with the others.

    Raises:
        ConfigError: with every mistake of the file, the flags and their values, one line each.
        SystemExit: 0, after the help, where `args` asks for it.
    """
    table = {} if path is None else read_toml(path)
    place = "the configuration" if path is None else path
    config, mistakes = parse_flags(args, table, prog=prog, description=description, place=place)
    return _checked(adapt(config) if adapt else config, mistakes, more)


def load_stored(
    text: str, args: Sequence[str], *, place: str, more: Check | None = None
) -> Config:
    """Read the configuration in `text`, a run's own, and lay the flags over it.

    Raises:
        ConfigError: with every mistake, one line each.
    """
    config, mistakes = parse_flags(
        args, parse_toml(text, place=place), prog="lfs-ray search", place=place
    )
    return _checked(config, mistakes, more)


def read_config(text: str, *, place: str) -> Config:
    """Read and check the configuration in `text`, the TOML file kept at `place`.

    Raises:
        ConfigError: with every mistake, one line each.
    """
    return _checked(*build_config(parse_toml(text, place=place), place=place))


def read_toml(path: str) -> dict[str, Any]:
    """Read the nested tables of the TOML file at `path`.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the configuration file must be readable, got {path} ({error.strerror}): "
            "correct the path, or leave the file out for the embedded example"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the configuration file must be UTF-8 text, got byte {error.start} of {path}: "
            "save it as UTF-8"
        ) from error
    return parse_toml(text, place=path)


def parse_toml(text: str, *, place: str) -> dict[str, Any]:
    """Parse TOML; `place` names the text in the message.

    Raises:
        ConfigError: the text is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _POSITION.match(str(error))
        reason, position = found.groups() if found else (str(error), "unknown position")
        raise ConfigError(
            f"the configuration must be valid TOML, got {place}, {position} ({reason}): "
            "correct that line"
        ) from error


def _checked(config: Config, mistakes: list[str], more: Check | None = None) -> Config:
    """Return `config`, or raise every mistake.

    After a mistake its key holds another value, so how keys fit together isn't judged then. Nor is
    `more` where a number is out of range: it would be told twice.
    """
    out_of_range = range_mistakes(config)
    every = [*mistakes, *out_of_range] if mistakes else check(config)
    if more and not mistakes and not out_of_range:
        every = [*every, *more(config)]
    if every:
        raise ConfigError(every)
    return config
