"""The command line: the only module that prints errors and exits.

Exit codes: 1 for a user's error (one line each), 3 for a bug (traceback saved), 130 for Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import traceback

from lfs_ray import __version__
from lfs_ray.commands.catalogue import COMMANDS, Command
from lfs_ray.errors import ConfigError, LfsRayError

_HELP = ("-h", "--help")


def _usage(group: str = "") -> str:
    """What is printed for --help; `group`: only commands that begin with this word."""
    shown = {name: COMMANDS[name] for name in COMMANDS if not group or _group(name) == group}
    width = max(map(len, shown))
    lines = [f"  {name:{width}}  {command.about}" for name, command in shown.items()]
    return "\n".join(
        [
            "usage: lfs-ray COMMAND [options]",
            "",
            "Search the loss function of a face-recognition model while the model trains.",
            "",
            *lines,
            "",
            "`lfs-ray COMMAND --help` shows the options of a command.",
        ]
    )


def _group(name: str) -> str:
    """First word of a command of two words, else ""."""
    return name.partition(" ")[0] if " " in name else ""


def _carry_out(command: Command, args: list[str]) -> int:
    module = importlib.import_module(f"lfs_ray.commands.{command.module}")
    return int(getattr(module, command.function)(args) or 0)


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in _HELP:
        print(_usage())
    elif args[0] in map(_group, COMMANDS) and (len(args) == 1 or args[1] in _HELP):
        print(_usage(args[0]))
    elif args[0] == "--version":
        print(f"lfs-ray {__version__}")
    else:
        for words in (1, 2):
            if command := COMMANDS.get(" ".join(args[:words])):
                return _carry_out(command, args[words:])
        given = " ".join(args[: 2 if args[0] in map(_group, COMMANDS) else 1])
        raise ConfigError(
            f"the command must be one of {', '.join(COMMANDS)}, got {given!r}: see "
            f"`lfs-ray --help`"
        )
    return 0


def run(args: list[str]) -> int:
    """Carry out a command line; the exit code."""
    try:
        return _dispatch(args)
    except LfsRayError as error:
        for line in str(error).splitlines():
            print(f"lfs-ray: error: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lfs-ray: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does: not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(
            f"lfs-ray: error: the system must let lfs-ray read and write its files, it does not "
            f"({error}): check the path, its permissions and the free space",
            file=sys.stderr,
        )
        return 1
    except Exception as error:
        with tempfile.NamedTemporaryFile(
            "w", prefix="lfs-ray-bug-", suffix=".log", delete=False
        ) as log:
            traceback.print_exc(file=log)
        print(
            f"lfs-ray: this is a bug: {type(error).__name__}: {error}; the traceback is in "
            f"{log.name}: please report it",
            file=sys.stderr,
        )
        return 3


def main() -> None:
    """Entry point of `lfs-ray`."""
    sys.exit(run(sys.argv[1:]))
