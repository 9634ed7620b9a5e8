"""`lfs-ray compare`: check everything, train all methods in one run, replay, write the tables."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import pandas as pd
from rich.console import Console

from lfs_ray.compare.expand import (
    Entry,
    expanded,
    lineage_rounds,
    replay_name,
    replayed,
    restarts_of,
    settled,
    with_baselines,
)
from lfs_ray.compare.outcome import EQUAL_BUDGET, Finished, write_comparison
from lfs_ray.config.addresses import joined
from lfs_ray.config.resolve import resolve
from lfs_ray.config.resume import refused_changes
from lfs_ray.config.sections import Config, PopulationConfig
from lfs_ray.driver.plan_text import describe_data
from lfs_ray.driver.results import write_winner
from lfs_ray.driver.run_directory import (
    check_directory,
    is_run,
    new_run_url,
    newest_driver,
    stored_config,
    with_absolute_paths,
    with_stored_device,
)
from lfs_ray.driver.search import (
    Request,
    checked_material,
    connection,
    describe_workers,
    execute,
)
from lfs_ray.errors import ConfigError, RunError, SearchError
from lfs_ray.execution.blueprint import build_searcher
from lfs_ray.execution.fit import population_mistakes, with_losses_resolved
from lfs_ray.storage import Storage
from lfs_ray.training.material import Material
from lfs_ray.training.scoring import metric_mistakes
from lfs_ray.trials.committed import committed_rounds
from lfs_ray.trials.comparison_read import TABLE_NAME
from lfs_ray.trials.comparison_text import markdown


def comparison_mistakes(config: Config) -> list[str]:
    """What is wrong with the methods of a comparison, one line each, methods by their names."""
    mistakes: list[str] = []
    try:
        config = with_baselines(config)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        expanded(config)
    except ConfigError as error:
        mistakes += error.mistakes
    methods = {
        name: PopulationConfig(search=settled(method).search, loss=method.loss)
        for name, method in config.methods.items()
    }
    if methods:
        mistakes += population_mistakes(replace(config, populations=methods))
    mistakes += metric_mistakes(config)
    if not config.report:
        mistakes.append(
            "a comparison must have a report set, got none: name one in a table [report.NAME] "
            "with images and pairs"
        )
    return mistakes + list(_margin_mistakes(config))


def _margin_mistakes(config: Config) -> Iterator[str]:
    """Judge each of a method's margins as the margin of its loss."""
    for name, method in config.methods.items():
        for margin in method.margins:
            one = PopulationConfig(
                search=settled(method).search, loss=replace(method.loss, margin=margin)
            )
            yield from population_mistakes(replace(config, populations={name: one}))


def compare(request: Request, console: Console) -> str:
    """Run or continue a comparison; the run directory.

    Raises:
        LfsRayError: one line for each thing that is wrong; nothing half-written is left.
    """
    url = request.run_dir or new_run_url(request.config, request.file, datetime.now())
    files = request.config.storage
    storage = Storage(url, fsync=files.fsync, retry_s=files.retry_s)
    name = storage.name
    config = with_baselines(with_absolute_paths(request.config))
    config, entries = expanded(config)
    config = with_losses_resolved(resolve(config, name=name))
    continuation = f"{request.command} --run-dir {shlex.quote(url)} --resume must"
    newest = newest_driver(storage)
    check_directory(storage, request.resume, continuation)
    if is_run(storage):
        if request.resume == "never":
            _refuse(storage, continuation)
            console.print(f"The comparison {url} is finished: nothing to do.", soft_wrap=True)
            return url
        config = _continued(config, stored_config(storage))
    material = checked_material(config, storage, console)
    console.print(describe(config, material, url), soft_wrap=True, highlight=False)
    if request.dry_run:
        console.print(describe_workers(config), soft_wrap=True, highlight=False)
        return url
    train = functools.partial(
        _execute, storage=storage, material=material, console=console, continuation=continuation
    )
    config, finished = _train(config, entries, storage, train, newest)
    table = write_comparison(storage, config, finished)
    _show(table, url, console)
    return url


def describe(config: Config, material: Material, url: str) -> str:
    """Data, methods and budget of a comparison in words."""
    compare = config.compare
    lines = [describe_data(config, material, url)]
    lines.append(
        f"Budget     {compare.budget_epochs:g} epochs a method and seed, seeds "
        f"{', '.join(map(str, compare.seeds))}; {len(config.populations)} populations"
    )
    for name, given in config.methods.items():
        method = settled(given)
        search, restarts = method.search, restarts_of(method, compare)
        rounds = lineage_rounds(search, compare)
        lines.append(
            f"Method     {name}: {search.policy} on {method.loss.name}, {restarts} x "
            f"{search.members} member(s) x {rounds * search.round_epochs:g} epochs"
        )
    return "\n".join(lines)


def _refuse(storage: Storage, continuation: str) -> None:
    if not storage.exists(TABLE_NAME):
        raise RunError(
            f"a comparison that exists must be resumed, found an unfinished one at {storage.url}: "
            f"continue it with `{continuation}`"
        )


def _continued(config: Config, stored: Config) -> Config:
    """The configuration of a resume: the run's device, and the replays that it has already."""
    config = with_stored_device(config, stored)
    replays = {replay_name(method) for method in config.methods}
    kept = {
        name: population
        for name, population in stored.populations.items()
        if name.rpartition("_s")[0] in replays
    }
    config = replace(config, populations={**config.populations, **kept})
    refused = refused_changes(stored, config)
    if refused:
        raise ConfigError(refused)
    return config


def _train(
    config: Config,
    entries: dict[str, Entry],
    storage: Storage,
    train: Callable[[Config, int], int],
    newest: int,
) -> tuple[Config, Finished]:
    """Train all methods, then the replays of what they found; the configuration with these."""
    with _one_connection(config):
        generation = train(config, newest)
        finished = _finished(storage, config, entries)
        if not config.compare.replay:
            return config, finished
        more, replays = with_replays(config, finished, storage)
        if more != config:
            train(more, generation)
    replayed_ones = _finished(storage, more, replays)
    return more, Finished(
        {**finished.entries, **replays}, {**finished.winners, **replayed_ones.winners}
    )


def _execute(
    config: Config,
    newest: int,
    *,
    storage: Storage,
    material: Material,
    console: Console,
    continuation: str,
) -> int:
    """Train what a configuration says; the generation it was trained under."""
    ended = execute(config, storage, material, console, newest)
    if ended.stopped:
        raise SearchError(f"{ended.stopped}: `{continuation}`")
    return ended.generation


@contextmanager
def _one_connection(config: Config) -> Iterator[None]:
    """Ray, where it is used, for methods and replays alike."""
    if config.worker.executor == "serial":
        yield
        return
    with connection(config):
        yield


def with_replays(
    config: Config, finished: Finished, storage: Storage
) -> tuple[Config, dict[str, Entry]]:
    """The configuration with a replay of each search's schedule, and what these populations are.

    Of a search with restarts the chosen one is replayed. What is there already stays as it is.
    """
    populations, entries = dict(config.populations), dict[str, Entry]()
    for name in config.methods:
        if not _is_replayed(config, name, finished.entries):
            continue
        for seed in config.compare.seeds:
            entry = Entry(replay_name(name), seed, 0)
            chosen = finished.chosen(name, seed).population
            script = _script(storage, config, chosen)
            replay = replayed(config.populations[chosen], script, config.optimizer)
            populations.setdefault(entry.population, replay)
            entries[entry.population] = entry
    return replace(config, populations=populations), entries


def _is_replayed(config: Config, name: str, entries: Mapping[str, Entry]) -> bool:
    """Whether a method's schedule is something that its policy learnt."""
    first = next(key for key, entry in entries.items() if entry.method == name)
    population = config.populations[first]
    return build_searcher(population.search, population.loss).policy.learns


def _script(storage: Storage, config: Config, population: str) -> tuple[float, ...]:
    one = config.populations[population]
    names = build_searcher(one.search, one.loss).space.names
    rows = [closed.selected for closed in committed_rounds(storage, population)]
    return tuple(float(str(row[f"theta_{name}"])) for row in rows for name in names)


def _finished(storage: Storage, config: Config, entries: dict[str, Entry]) -> Finished:
    winners = {name: write_winner(storage, config, name) for name in entries}
    return Finished(dict(entries), winners)


def _show(table: pd.DataFrame, url: str, console: Console) -> None:
    equal = table[table["table"] == EQUAL_BUDGET].drop(columns="table")
    console.print(markdown(equal), soft_wrap=True, highlight=False)
    console.print(
        f"Tables: {joined(url, 'comparison.md')}, .csv, .html    "
        f"Trials: lfs-ray trials {shlex.quote(url)}",
        soft_wrap=True,
    )
