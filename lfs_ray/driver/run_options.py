"""Words of the command line -> options of search, train and compare, and configuration flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lfs_ray.errors import ConfigError

_RESUME = ("never", "auto", "must")


@dataclass(slots=True)
class RunOptions:
    """Options of search and train that are not configuration keys."""

    file: str | None = None
    run_dir: str = ""
    resume: str = "never"
    dry_run: bool = False
    schedule: str = ""


def split_options(prog: str, args: Sequence[str]) -> tuple[RunOptions, list[str]]:
    """The command's own options, and the configuration flags with their values."""
    options, words = RunOptions(), list(args)
    flags: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word == "--dry-run":
            options.dry_run = True
        elif name in ("--run-dir", "--resume") or (
            name == "--schedule" and prog.endswith("train")
        ):
            if not equals and (not words or words[0].startswith("--")):
                raise ConfigError(
                    f"{name} must be followed by a value, got none: see `{prog} --help`"
                )
            setattr(options, name[2:].replace("-", "_"), value if equals else words.pop(0))
        elif not flags and options.file is None and not word.startswith("--"):
            options.file = word
        else:
            flags.append(word)
    if options.resume not in _RESUME:
        raise ConfigError(
            f"--resume must be one of {', '.join(_RESUME)}, got {options.resume!r}: choose one"
        )
    return options, flags
