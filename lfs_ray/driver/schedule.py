"""schedule.toml: the winning theta of each round, in full precision; what a replay needs."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import tomli_w

from lfs_ray.config.addresses import is_uri, parted
from lfs_ray.config.build import build
from lfs_ray.config.sections import Config, LossConfig, PopulationConfig, SearchConfig
from lfs_ray.errors import ConfigError, RunError
from lfs_ray.storage import Storage
from lfs_ray.trials.rounds import Round

_SEARCH_KEYS = ("space", "margin_max", "round_epochs", "seed")
_TABLES = ("loss", "search", "round")
_ADVICE = "use the schedule.toml of a run"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledRound:
    """The selected trial of a round, as a schedule has it."""

    number: int | None = None
    """Round, from 0; a schedule written by hand may leave it out."""
    theta: tuple[float, ...] = ()
    """Empty for a hand-made loss."""
    margin: float = math.nan
    epochs: float = 0.0
    reward: float = math.nan


def schedule_text(
    name: str, population: PopulationConfig, rounds: Sequence[Round], theta_names: Sequence[str]
) -> str:
    """TOML of a population's schedule: the loss, what a replay needs of the search, the rounds."""
    search = asdict(population.search)
    winners = [one.selected for one in rounds]
    content = {
        "population": name,
        "loss": _given(asdict(population.loss)),
        "search": _given({key: search[key] for key in _SEARCH_KEYS}),
        "round": [
            {
                "number": one.number,
                "theta": [row[f"theta_{theta}"] for theta in theta_names],
                **{key: row[key] for key in ("margin", "epochs", "reward")},
            }
            for one, row in zip(rounds, winners, strict=True)
        ],
    }
    return tomli_w.dumps(content)


def as_training(config: Config, schedule: str) -> Config:
    """The configuration of `lfs-ray train`: one population, one member, no search.

    Args:
        config: a configuration; a search's own keys are overridden.
        schedule: path of a schedule.toml to replay; empty: the section `loss` throughout.
    """
    if schedule:
        return with_schedule(config, schedule)
    search = replace(config.search, policy="fixed", members=1, warmup_epochs=0.0)
    return replace(config, search=search, populations={})


def with_schedule(config: Config, path: str) -> Config:
    """The configuration with its populations replaced by one that replays a schedule.

    Loss, space, round length and seed are the schedule's; start, sigma and warm-up of a search are
    left out, since they may be of another loss; everything else is the configuration's.

    Raises:
        ConfigError: the file is missing or not a schedule; every mistake, one line each.
    """
    content = _read(path)
    place = f"the schedule {path}"
    loss, mistakes = build(LossConfig, content["loss"], where="loss", place=place)
    search, more = build(
        SearchConfig, content["search"], base=config.search, where="search", place=place
    )
    rounds, others = _rounds(content["round"], place)
    mistakes += more + others
    if mistakes:
        raise ConfigError(mistakes)
    script = tuple(number for one in rounds for number in one.theta)
    search = replace(
        search,
        policy="schedule" if script else "fixed",
        members=1,
        rounds=len(rounds),
        script=script,
        start=(),
        sigma=(),
        warmup_epochs=0.0,
        warmup_theta=(),
    )
    return replace(config, search=search, loss=loss, populations={})


def _rounds(tables: object, place: str) -> tuple[list[ScheduledRound], list[str]]:
    if not isinstance(tables, list) or not tables:
        return [], [f"{place} must hold a table [[round]] for each round, got none: {_ADVICE}"]
    built = [
        build(ScheduledRound, table, where=f"round.{number}", place=place)
        for number, table in enumerate(tables)
    ]
    rounds, mistakes = [one for one, _ in built], [line for _, lines in built for line in lines]
    sizes = sorted({len(one.theta) for one in rounds})
    if len(sizes) > 1 and not mistakes:
        mistakes.append(
            f"every theta of {place} must have as many numbers, got {sizes[0]} and {sizes[-1]}: "
            f"{_ADVICE}"
        )
    return rounds, mistakes + list(_gaps(rounds, place))


def _gaps(rounds: Sequence[ScheduledRound], place: str) -> Iterator[str]:
    """Rounds whose number is not that of their place."""
    for position, one in enumerate(rounds):
        if one.number is not None and one.number != position:
            yield (
                f"rounds of {place} must be numbered 0, 1, 2 and so on, got {one.number} in place "
                f"of {position}: restore the missing round, or number them anew"
            )
            return


def _read(path: str) -> dict[str, Any]:
    # A link that the user names is followed; one inside a run is not.
    folder, name = parted(path if is_uri(path) else os.path.realpath(os.path.expanduser(path)))
    storage = Storage(folder)  # says itself what is wrong with an address, without repeating it
    try:
        content = tomllib.loads(storage.read(name).decode())
    except (OSError, ValueError, RunError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"--schedule must be a schedule.toml, got {path} ({reason}): {_ADVICE}"
        ) from error
    missing = [name for name in _TABLES if name not in content]
    if missing:
        raise ConfigError(
            f"--schedule must hold loss, search and round, {path} lacks {', '.join(missing)}: "
            f"{_ADVICE}"
        )
    return content


def _given(table: Mapping[str, object]) -> dict[str, object]:
    """The keys that have a value: TOML knows no null."""
    return {key: value for key, value in table.items() if value is not None}
