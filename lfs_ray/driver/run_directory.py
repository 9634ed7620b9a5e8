"""A run directory before its search: new, to be continued, finished, or not a run."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from lfs_ray.config.addresses import is_uri, joined
from lfs_ray.config.load import read_config
from lfs_ray.config.resume import refused_changes
from lfs_ray.config.sections import Config, DataConfig
from lfs_ray.errors import ConfigError, RunError
from lfs_ray.execution.generations import GENERATIONS, newest_generation
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds

CONFIG_NAME = "config.toml"
Resume = Literal["never", "auto", "must"]


def new_run_url(config: Config, file: str | None, now: datetime) -> str:
    """Where a run without `--run-dir` goes: run.dir/run.name, or a new dated directory."""
    stem = Path(file).stem if file else "example"
    name = config.run.name or f"{stem}-{now:%Y%m%d-%H%M%S}"
    return joined(config.run.dir, name)


def is_run(storage: Storage) -> bool:
    """Whether the directory holds a run."""
    return storage.exists(CONFIG_NAME)


def stored_text(storage: Storage) -> str:
    """The configuration of a run as text, empty where there is no run.

    Raises:
        RunError: it can't be read.
    """
    if not is_run(storage):
        return ""
    try:
        return storage.read(CONFIG_NAME).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"{storage.path(CONFIG_NAME)} must be a text file, found something else ({error}): "
            f"restore it from a copy"
        ) from error


def stored_config(storage: Storage) -> Config:
    """The resolved configuration of a run.

    Raises:
        LfsRayError: it can't be read.
    """
    return read_config(stored_text(storage), place=storage.path(CONFIG_NAME))


def check_directory(storage: Storage, resume: Resume, command: str) -> None:
    """Refuse a directory that can't take or continue a run.

    Args:
        storage: the directory.
        resume: what `--resume` says.
        command: a command that continues the run.

    Raises:
        RunError: one line.
    """
    if is_run(storage):
        return
    content = _content(storage)
    if content == [GENERATIONS]:
        if resume == "never":
            raise RunError(
                f"a run that exists must be resumed, found one at {storage.url} whose driver "
                f"begins just now, or ended as it began: continue it with `{command}`"
            )
        return
    if content:
        raise RunError(
            f"--run-dir must be a run or a new directory, found {storage.url} with other content "
            f"and no {CONFIG_NAME}: choose another directory"
        )
    if resume == "must":
        raise RunError(
            f"--resume must needs a run to continue, found none at {storage.url}: check the "
            f"directory, or leave --resume out"
        )


def newest_driver(storage: Storage) -> int:
    """Number of the run's newest generation, -1 when there is none: asked before all else."""
    return -1 if storage.size("") is not None else newest_generation(storage)


def _content(storage: Storage) -> list[str]:
    return ["a file"] if storage.size("") is not None else storage.list()


def is_finished(storage: Storage, config: Config, resume: Resume, command: str) -> bool:
    """Whether nothing is left to do: of the run itself, or of what a resume makes of it.

    Args:
        storage: the run directory, which holds a run.
        config: the resolved configuration of the command.
        resume: what `--resume` says.
        command: a command that continues the run.

    Raises:
        RunError: the run is unfinished and `--resume` says never.
        ConfigError: a key changed that a resume must keep; all of them.
    """
    before = stored_config(storage)
    if resume == "never":
        if _is_complete(storage, before):
            return True
        raise RunError(
            f"a run that exists must be resumed, found an unfinished one at {storage.url}: "
            f"continue it with `{command}`"
        )
    refused = refused_changes(before, config)
    if refused:
        raise ConfigError(refused)
    return _is_complete(storage, config)


def _is_complete(storage: Storage, config: Config) -> bool:
    """Whether every round that the configuration asks for is committed and the results are."""
    results = [f"populations/{name}/model.safetensors" for name in config.populations]
    results += [f"scores/{name}.parquet" for name in config.report]
    return all(storage.exists(name) for name in ("results.csv", *results)) and all(
        len(committed_rounds(storage, name)) >= population.search.rounds
        for name, population in config.populations.items()
    )


def with_stored_device(config: Config, stored: Config) -> Config:
    """The configuration with the run's own device where it leaves the choice open."""
    if config.worker.device != "auto":
        return config
    return replace(config, worker=replace(config.worker, device=stored.worker.device))


def with_absolute_paths(config: Config) -> Config:
    """The configuration with data paths that mean the same from every working directory."""
    data, reports = config.data, config.report
    return replace(
        config,
        data=_absolute_data(data),
        report={
            name: replace(report, images=absolute(report.images), pairs=absolute(report.pairs))
            for name, report in reports.items()
        },
    )


def absolute(path: str) -> str:
    """A local path made absolute; an empty one or a URI as it is."""
    return path if not path or is_uri(path) else os.path.abspath(os.path.expanduser(path))


def _absolute_data(data: DataConfig) -> DataConfig:
    return replace(
        data,
        train=tuple(absolute(path) for path in data.train),
        lists=tuple(absolute(path) for path in data.lists),
        validation_images=absolute(data.validation_images),
        validation_pairs=absolute(data.validation_pairs),
    )
