"""Argument parsers of the commands that read no configuration."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from lfs_ray.commands.catalogue import COMMANDS
from lfs_ray.errors import ConfigError


class _Parser(argparse.ArgumentParser):
    """Mistakes are raised, to be printed as one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}: see `{self.prog} --help`")


def make_parser(command: str, more: str = "") -> argparse.ArgumentParser:
    """Parser of `lfs-ray COMMAND`; a mistake is a ConfigError of one line.

    Args:
        command: a name in COMMANDS, whose line is the description.
        more: further description below the options.
    """
    return _Parser(
        prog=f"lfs-ray {command}",
        description=COMMANDS[command].about,
        epilog=more,
        allow_abbrev=False,
    )


def at_least(least: int) -> Callable[[str], int]:
    """Reader of an option that is a whole number of `least` or more."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"must be a whole number >= {least}, got {text!a}")
        return number

    return read


def share(text: str) -> float:
    """An option that is a share: a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!a}")
    return number
