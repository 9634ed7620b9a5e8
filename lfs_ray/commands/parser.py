"""Argument parsers of the commands that read no configuration."""

from __future__ import annotations

import argparse
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
