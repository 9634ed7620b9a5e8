"""What a resume may change in the configuration of a run, and what it may not.

Free are the keys that change neither rows nor weights (where and how fast it is computed, what is
kept and shown, report sets), the number of rounds, upwards, and in a comparison further methods
and seeds. Everything else is the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from lfs_ray.config.keys import join
from lfs_ray.config.resolve import populations_of
from lfs_ray.config.sections import Config
from lfs_ray.config.values import show

FREE_SECTIONS = ("storage", "logging", "report", "compare", "methods")
FREE_KEYS = (
    "run.name",
    "run.dir",
    "data.in_memory",
    "worker.executor",
    "worker.count",
    "worker.cpus",
    "worker.gpus",
    "worker.loader_threads",
    "worker.loader_processes",
    "worker.ray_address",
    "worker.heartbeat_s",
    "worker.lease_timeout_s",
    "worker.backup_trials",
)
_TEMPLATES = ("search", "loss")  # only what the populations make of them counts
_ADVICE = "restore it, or start a new run"


def refused_changes(old: Config, new: Config) -> list[str]:
    """Return the changes from `old` to `new` that a resume must not make, one line each.

    Both configurations are resolved: `old` is the run's own, `new` the one of the command.
    """
    refused = [
        f"a resume must keep {path}, got {show(now)} instead of {show(before)}: {_ADVICE}"
        for path, before, now in _changes(_shared(old), _shared(new))
        if path not in FREE_KEYS
    ]
    return refused + list(_population_changes(old, new))


def _shared(config: Config) -> dict[str, Any]:
    """Return the sections that all populations share and a resume must not change freely."""
    dropped = (*FREE_SECTIONS, *_TEMPLATES, "populations")
    return {
        item.name: getattr(config, item.name)
        for item in fields(config)
        if item.name not in dropped
    }


def _population_changes(old: Config, new: Config) -> Iterator[str]:
    before, now = populations_of(old), populations_of(new)
    gone, more = before.keys() - now.keys(), now.keys() - before.keys()
    for name in sorted(gone | (set() if new.methods else more)):
        found = "one more" if name in now else "none of that name"
        yield f"a resume must keep the populations, got {found}, {name}: {_ADVICE}"
    for name in before:
        if name not in now:
            continue
        for path, was, value in _changes(_table(before[name]), _table(now[name])):
            must = _rounds_must(new, was, value) if path == "search.rounds" else f"keep {path}"
            if must:
                got = f"{show(value)} instead of {show(was)} in population {name}"
                yield f"a resume must {must}, got {got}: {_ADVICE}"


def _rounds_must(config: Config, was: int, value: int) -> str:
    """Return what a changed number of rounds violates; empty where it may change so."""
    if value < was:
        return "not lower search.rounds"
    if config.optimizer.schedule == "polynomial" and config.optimizer.decay_epochs is None:
        return (
            "keep search.rounds, on which the learning rate depends (schedule polynomial "
            "without optimizer.decay_epochs)"
        )
    return ""


def _table(section: Any) -> dict[str, Any]:
    return {item.name: getattr(section, item.name) for item in fields(section)}


def _changes(
    old: dict[str, Any], new: dict[str, Any], where: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, old and new value of every key that differs."""
    for name, before in old.items():
        path, now = join(where, name), new[name]
        if is_dataclass(before):
            yield from _changes(_table(before), _table(now), path)
        elif before != now:
            yield path, before, now
