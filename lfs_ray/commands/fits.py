"""`lfs-ray search`, `train` and `compare`: the commands that read a configuration and train."""

from __future__ import annotations

from typing import cast

from lfs_ray.commands.catalogue import COMMANDS
from lfs_ray.config.load import load_config, load_stored
from lfs_ray.config.sections import Config
from lfs_ray.driver.run_options import split_options

_RUN_OPTIONS = """\
  FILE.toml          configuration; without one, the embedded example
  --run-dir DIR      run directory or URI; without it, a new dated one
  --resume WHEN      never (default), auto (continue if there is something), must
  --dry-run          check everything, show the plan, train nothing"""


def search(args: list[str]) -> None:
    """Carry out `lfs-ray search`."""
    _run("search", args)


def train(args: list[str]) -> None:
    """Carry out `lfs-ray train`."""
    _run("train", args)


def compare(args: list[str]) -> None:
    """Carry out `lfs-ray compare`."""
    _run("compare", args)


def _run(command: str, args: list[str]) -> None:
    prog = f"lfs-ray {command}"
    if "--help" in args or "-h" in args:
        extra = "\n  --schedule FILE    schedule.toml to replay" if command == "train" else ""
        print(f"usage: {prog} [FILE.toml] [options] [--section.key VALUE ...]\n")
        print(f"{COMMANDS[command].about}\n\n{_RUN_OPTIONS}{extra}\n")
        load_config(None, ["--help"], prog=prog)
    options, flags = split_options(prog, args)

    from lfs_ray.driver.run_directory import CONFIG_NAME, Resume, stored_text
    from lfs_ray.driver.schedule import as_training
    from lfs_ray.storage import Storage

    more = _comparison_mistakes if command == "compare" else _fit_mistakes
    continues = options.resume != "never" and options.run_dir
    run = Storage(options.run_dir) if continues else None
    stored = stored_text(run) if run else ""
    if run and stored and options.file is None:
        config = load_stored(stored, flags, place=run.path(CONFIG_NAME), more=more)
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
    from lfs_ray.training.scoring import metric_mistakes

    return population_mistakes(config) + metric_mistakes(config)


def _comparison_mistakes(config: Config) -> list[str]:
    """As _fit_mistakes, for the methods of a comparison."""
    from lfs_ray.compare.run import comparison_mistakes

    return comparison_mistakes(config)
