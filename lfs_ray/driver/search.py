"""`lfs-ray search` and `train`: check everything, take up the run, search, write results."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import pandas as pd
from rich.console import Console

from lfs_ray.config.addresses import joined
from lfs_ray.config.dump import dump_toml
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import Config
from lfs_ray.driver.environment import check_environment, record_environment
from lfs_ray.driver.live import Ask, LiveDisplay
from lfs_ray.driver.plan_text import describe
from lfs_ray.driver.results import RESULTS_NAME, write_results
from lfs_ray.driver.run_directory import (
    CONFIG_NAME,
    Resume,
    check_directory,
    is_finished,
    is_run,
    new_run_url,
    newest_driver,
    stored_config,
    with_absolute_paths,
    with_stored_device,
)
from lfs_ray.errors import SearchError
from lfs_ray.execution.blueprint import build_populations, lengths
from lfs_ray.execution.connection import connect, disconnect, started_here
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.fit import with_losses_resolved
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.node_survey import check_nodes
from lfs_ray.execution.serial import run_serial
from lfs_ray.execution.trial_runner import TrialRunner
from lfs_ray.execution.tune_run import (
    RaySearch,
    check_resources,
    count_workers,
    device_kind,
    resources,
    run_on_ray,
)
from lfs_ray.storage import Storage
from lfs_ray.training.device import device_kind_here, prepare_process
from lfs_ray.training.material import Material, check_material, open_material


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asks for.

    Args:
        config: a checked configuration, not resolved.
        file: the configuration file, for the name of a new run.
        run_dir: `--run-dir`; empty: a new dated directory.
        resume: `--resume`.
        dry_run: check and show the plan only.
        command: first words of the command, for messages.
    """

    config: Config
    file: str | None = None
    run_dir: str = ""
    resume: Resume = "never"
    dry_run: bool = False
    command: str = "lfs-ray search"


def search(request: Request, console: Console) -> str:
    """Run or continue a search; the run directory.

    Raises:
        LfsRayError: one line for each thing that is wrong; nothing half-written is left.
    """
    url = request.run_dir or new_run_url(request.config, request.file, datetime.now())
    files = request.config.storage
    storage = Storage(url, fsync=files.fsync, retry_s=files.retry_s)
    named = resolve(with_absolute_paths(request.config), name=storage.name)
    config = with_losses_resolved(named)
    continuation = f"{request.command} --run-dir {shlex.quote(url)} --resume must"
    newest = newest_driver(storage)
    check_directory(storage, request.resume, continuation)
    if is_run(storage):
        config = with_stored_device(config, stored_config(storage))
        if is_finished(storage, config, request.resume, continuation):
            console.print(f"The run {url} is finished: nothing to do.", soft_wrap=True)
            return url
    material = checked_material(config, storage, console)
    console.print(describe(config, material, url), soft_wrap=True, highlight=False)
    if request.dry_run:
        console.print(describe_workers(config), soft_wrap=True, highlight=False)
        return url
    ended = execute(config, storage, material, console, newest)
    if ended.stopped:
        raise SearchError(f"{ended.stopped}: `{continuation}`")
    _show(write_results(storage, config), storage.url, console)
    return url


def checked_material(config: Config, storage: Storage, console: Console) -> Material:
    """The data of a run, judged before anything is trained.

    Raises:
        LfsRayError: one line for what is wrong with data or populations.
    """
    material = open_material(config)
    undecodable = check_material(config, material)
    check_environment(storage, material.manifest())
    build_populations(config, len(material.faces), boot="check")
    if undecodable:
        console.print(
            f"{undecodable} of a sample of images are undecodable: skipped", soft_wrap=True
        )
    return material


@dataclass(frozen=True, slots=True)
class Ended:
    """How a search ended."""

    stopped: str
    """Why it stopped before its end; empty: it didn't."""
    generation: int
    """The generation of its driver."""


def execute(
    config: Config, storage: Storage, material: Material, console: Console, newest: int
) -> Ended:
    """Train every round of every population that isn't committed yet.

    Args:
        config: a resolved configuration.
        storage: the run directory.
        material: its data.
        console: where to show what happens.
        newest: the newest generation when this driver looked at the run: one that has started
            since goes on, and this one does not.

    Raises:
        LfsRayError: another driver has started, the cluster's nodes don't fit, or the run's files.
    """
    return _EXECUTORS[config.worker.executor](config, storage, material, console, newest)


def describe_workers(config: Config) -> str:
    """The workers that a search would have here; Ray is started, asked and left.

    Raises:
        LfsRayError: the machine can't hold them, or no cluster answers.
    """
    if config.worker.executor == "serial":
        return f"Workers    1 in this process, {device_kind_here(config.worker)}"
    with connection(config):
        each, device = resources(config.worker), device_kind(config.worker)
        count = count_workers(config)
    return f"Workers    {count} of {each['cpu']:g} CPUs and {each['gpu']:g} GPUs, {device}"


@contextmanager
def connection(config: Config) -> Iterator[None]:
    """Connected to Ray; on a Ray that was started here, workers must fit."""
    ours = connect(config.worker)
    try:
        if started_here():
            check_resources(config.worker)
        yield
    finally:
        if ours:
            disconnect()


def _begin(storage: Storage, config: Config, material: Material, newest: int) -> int:
    """Take the run and write its first files; config.toml makes a directory a run.

    In this order, so that a driver that is refused has changed nothing.
    """
    generation = start_generation(storage, config.populations, after=newest)
    storage.write(CONFIG_NAME, dump_toml(config).encode())
    record_environment(storage, material.manifest())
    if material.held_out is not None and not storage.exists("split.json"):
        held_out = {"validation_labels": material.held_out.tolist()}
        storage.write("split.json", json.dumps(held_out).encode())
    return generation


def _with_device(config: Config, device: str) -> Config:
    kind: Literal["cpu", "cuda"] = "cuda" if device == "cuda" else "cpu"
    return replace(config, worker=replace(config.worker, device=kind))


def _serial(
    config: Config, storage: Storage, material: Material, console: Console, newest: int
) -> Ended:
    config = _with_device(config, prepare_process(config.worker).type)
    generation = _begin(storage, config, material, newest)
    coordinator = Coordinator(config, len(material.faces), storage, generation)
    tell = _teller(console)
    for line in coordinator.notices:
        tell(line)
    runner = TrialRunner(config, storage, material)

    with _display(config, material, console)(
        lambda: (coordinator.standings(), coordinator.stopped)
    ):
        return Ended(run_serial(coordinator, runner, lambda lease, outcome: None), generation)


def _ray(
    config: Config, storage: Storage, material: Material, console: Console, newest: int
) -> Ended:
    with connection(config):
        config = _with_device(config, device_kind(config.worker))
        check_nodes(config, storage, resources(config.worker))
        generation = _begin(storage, config, material, newest)
        run = RaySearch(
            config=config,
            config_text=dump_toml(config),
            epoch_images=len(material.faces),
            storage=storage,
            generation=generation,
            make_runner=functools.partial(TrialRunner, config, storage),
            tell=_teller(console),
        )
        display = _display(config, material, console)
        return Ended(run_on_ray(run, lambda desk: display(desk.standings)), generation)


_EXECUTORS: dict[str, Callable[[Config, Storage, Material, Console, int], Ended]] = {
    "ray": _ray,
    "serial": _serial,
}


def _teller(console: Console) -> Callable[[str], None]:
    """Prints lines as they are, each in one."""
    return functools.partial(console.print, soft_wrap=True, highlight=False, markup=False)


def _display(config: Config, material: Material, console: Console) -> Callable[[Ask], LiveDisplay]:
    images = {
        name: lengths(config, population, len(material.faces)).round_images
        for name, population in config.populations.items()
    }
    live = config.logging.live == "always" or (
        config.logging.live == "auto" and console.is_terminal
    )
    return lambda ask: LiveDisplay(console, ask, images, live=live)


def _show(table: pd.DataFrame, url: str, console: Console) -> None:
    text = table.to_string(float_format=lambda value: f"{value:.4f}")
    console.print(text, soft_wrap=True, highlight=False)
    results = joined(url, RESULTS_NAME)
    console.print(
        f"Trials: lfs-ray trials {shlex.quote(url)}    Results: {results}", soft_wrap=True
    )
