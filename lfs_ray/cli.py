"""The command line: the only module that prints errors and exits.

Exit codes: 1 for a user's error (one line each), 3 for a bug (traceback saved), 130 for Ctrl-C.
Each command's modules are imported when it is called, so that help and tables come at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn, cast

from lfs_ray import __version__
from lfs_ray.config.sections import Config
from lfs_ray.driver.run_options import split_options
from lfs_ray.errors import ConfigError, LfsRayError

_RUN_OPTIONS = """\
  FILE.toml          configuration; without one, the embedded example
  --run-dir DIR      run directory or URI; without it, a new dated one
  --resume WHEN      never (default), auto (continue if there is something), must
  --dry-run          check everything, show the plan, train nothing"""


def search(args: list[str]) -> None:
    """Search the loss while the model trains; without a file, the embedded example."""
    _run("search", args)


def train(args: list[str]) -> None:
    """Train under one fixed loss, or under a schedule that a search found."""
    _run("train", args)


def compare(args: list[str]) -> None:
    """Compare methods over seeds at one budget, in one run; the table says what is known."""
    _run("compare", args)


def _run(command: str, args: list[str]) -> None:
    from lfs_ray.config.load import load_config, load_stored

    prog = f"lfs-ray {command}"
    if "--help" in args or "-h" in args:
        extra = "\n  --schedule FILE    schedule.toml to replay" if command == "train" else ""
        print(f"usage: {prog} [FILE.toml] [options] [--section.key VALUE ...]\n")
        print(f"{COMMANDS[command].__doc__}\n\n{_RUN_OPTIONS}{extra}\n")
        load_config(None, ["--help"], prog=prog)
    options, flags = split_options(prog, args)

    from lfs_ray.driver.run_directory import CONFIG_NAME, Resume, stored_text
    from lfs_ray.driver.schedule import as_training
    from lfs_ray.storage import Storage

    more = _comparison_mistakes if command == "compare" else _fit_mistakes
    continues = options.resume != "never" and options.run_dir
    stored = stored_text(Storage(options.run_dir)) if continues else ""
    if stored and options.file is None:
        config = load_stored(stored, flags, place=f"{options.run_dir}/{CONFIG_NAME}", more=more)
    else:
        adapt = (
            (lambda config: as_training(config, options.schedule)) if command == "train" else None
        )
        config = load_config(options.file, flags, prog=prog, adapt=adapt, more=more)

    # Torch and Ray come last: a mistake in the configuration is told at once.
    from rich.console import Console

    from lfs_ray.driver.search import Request

    if command == "compare":
        from lfs_ray.compare.run import compare as start
    else:
        from lfs_ray.driver.search import search as start

    request = Request(
        config=config,
        file=options.file,
        run_dir=options.run_dir,
        resume=cast(Resume, options.resume),
        dry_run=options.dry_run,
        command=prog,
    )
    start(request, Console())


def _fit_mistakes(config: Config) -> list[str]:
    """What does not fit in the populations; asked once keys and numbers are right: needs torch."""
    from lfs_ray.execution.fit import population_mistakes

    return population_mistakes(config)


def _comparison_mistakes(config: Config) -> list[str]:
    """As _fit_mistakes, for the methods of a comparison."""
    from lfs_ray.compare.run import comparison_mistakes

    return comparison_mistakes(config)


class _Parser(argparse.ArgumentParser):
    """Mistakes are raised, to be printed as one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}: see `{self.prog} --help`")


def _parser(command: str, description: str | None) -> _Parser:
    return _Parser(prog=f"lfs-ray {command}", description=description, allow_abbrev=False)


def trials(args: list[str]) -> None:
    """Show the trial table of one or several runs."""
    from lfs_ray.trials.read import read_trials
    from lfs_ray.trials.table import format_trials, write_csv

    parser = _parser("trials", trials.__doc__)
    parser.add_argument("runs", nargs="+", metavar="DIR", help="run directory or URI")
    parser.add_argument("--sort", default="", metavar="COLUMN", help="best value first")
    parser.add_argument(
        "--csv", default="", metavar="FILE", help="write all columns there instead"
    )
    options = parser.parse_args(args)
    table = read_trials(options.runs if len(options.runs) > 1 else options.runs[0])
    text = format_trials(table, options.sort)
    if options.csv:
        write_csv(table, options.csv)
        print(f"{len(table)} trials written to {options.csv}")
    else:
        print(text)


def evaluate(args: list[str]) -> None:
    """Score a checkpoint or model file on a pair list."""
    from lfs_ray.config.sections import RewardConfig
    from lfs_ray.driver.evaluate import evaluate as run
    from lfs_ray.evaluation.verification import RULES

    parser = _parser("evaluate", evaluate.__doc__)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="*.safetensors of a run")
    parser.add_argument(
        "pairs", metavar="PAIRS", help="pair list (TSV, pairs.txt, development list)"
    )
    parser.add_argument("--images", default="", metavar="DIR", help="their folder or packed set")
    parser.add_argument("--rule", default="insightface", choices=sorted(RULES))
    parser.add_argument("--no-flip", action="store_true", help="original view only")
    options = parser.parse_args(args)
    reward = replace(RewardConfig(), rule=options.rule, flip=not options.no_flip)
    table = run(options.checkpoint, options.pairs, options.images, reward)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


def data_pack(args: list[str]) -> None:
    """Pack a folder of class folders, or a list file's images, into an LMDB."""
    from lfs_ray.data.pack import pack

    parser = _parser("data pack", data_pack.__doc__)
    parser.add_argument("source", metavar="SRC", help="folder with one folder a class")
    parser.add_argument("target", metavar="DST", help="new packed data set")
    parser.add_argument("--list", default="", metavar="FILE", help="`path label` lines instead")
    parser.add_argument("--size-px", type=int, default=0, help="resize to this square; 0: keep")
    parser.add_argument("--quality", type=int, default=95, help="JPEG quality where resized")
    options = parser.parse_args(args)
    manifest = pack(
        options.source,
        options.target,
        list_file=options.list,
        size_px=options.size_px,
        quality=options.quality,
    )
    print(f"{manifest['images']} images of {manifest['classes']} classes in {options.target}")


def data_synthesize(args: list[str]) -> None:
    """Draw synthetic faces into a packed data set."""
    from lfs_ray.data.synthetic import SyntheticFaces, synthesize

    parser = _parser("data synthesize", data_synthesize.__doc__)
    parser.add_argument("target", metavar="DST", help="new packed data set")
    parser.add_argument("--identities", type=int, default=200)
    parser.add_argument("--images", type=int, default=20, help="of each identity")
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(args)
    spec = SyntheticFaces(options.identities, options.images, options.size_px, options.seed)
    manifest = synthesize(spec, options.target)
    print(f"{manifest['images']} images of {manifest['classes']} classes in {options.target}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "search": search,
    "train": train,
    "compare": compare,
    "trials": trials,
    "evaluate": evaluate,
    "data pack": data_pack,
    "data synthesize": data_synthesize,
}


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.__doc__}" for name, command in COMMANDS.items()]
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


def _dispatch(args: list[str]) -> None:
    if not args or args[0] in ("-h", "--help"):
        print(_usage())
    elif args[0] == "--version":
        print(f"lfs-ray {__version__}")
    elif args[0] in COMMANDS:
        COMMANDS[args[0]](args[1:])
    elif " ".join(args[:2]) in COMMANDS:
        COMMANDS[" ".join(args[:2])](args[2:])
    else:
        raise ConfigError(
            f"the command must be one of {', '.join(COMMANDS)}, got {args[0]!r}: see "
            f"`lfs-ray --help`"
        )


def run(args: list[str]) -> int:
    """Carry out a command line; the exit code."""
    try:
        _dispatch(args)
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
    return 0


def main() -> None:
    """Entry point of `lfs-ray`."""
    sys.exit(run(sys.argv[1:]))
