"""schedule.toml: the winning theta of each round, in full precision; what a replay needs."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tomli_w

from lfs_ray.config.sections import Config, PopulationConfig
from lfs_ray.errors import ConfigError
from lfs_ray.storage import Storage
from lfs_ray.trials.rounds import Round


def schedule_text(
    name: str, population: PopulationConfig, rounds: Sequence[Round], theta_names: Sequence[str]
) -> str:
    """TOML of a population's schedule: one table a round."""
    search, loss = population.search, population.loss
    winners = [next(row for row in one.rows if row["selected"]) for one in rounds]
    content = {
        "population": name,
        "loss": loss.name,
        "scale": loss.scale,
        "space": search.space,
        "round_epochs": search.round_epochs,
        "seed": search.seed,
        "round": [
            {
                "theta": [row[f"theta_{theta}"] for theta in theta_names],
                "margin": row["margin"],
                "epochs": row["epochs"],
                "reward": row["reward"],
            }
            for row in winners
        ],
    }
    return tomli_w.dumps({key: value for key, value in content.items() if value is not None})


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

    Loss, scale, space, round length and seed are the schedule's; everything else is the
    configuration's.

    Raises:
        ConfigError: the file is missing, not a schedule, or of another space than its loss takes.
    """
    content = _read(path)
    thetas = [theta for one in content["round"] for theta in one["theta"]]
    search = replace(
        config.search,
        policy="schedule",
        space=content["space"],
        members=1,
        rounds=len(content["round"]),
        round_epochs=content["round_epochs"],
        script=tuple(float(theta) for theta in thetas),
        warmup_epochs=0.0,
        seed=content.get("seed"),
    )
    loss = replace(config.loss, name=content["loss"], scale=content["scale"])
    return replace(config, search=search, loss=loss, populations={})


def _read(path: str) -> dict[str, Any]:
    storage, _, name = path.rpartition("/")
    try:
        content = tomllib.loads(Storage(storage or ".").read(name).decode())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--schedule must be a schedule.toml, got {path} ({reason})") from error
    missing = {"loss", "scale", "space", "round_epochs", "round"} - content.keys()
    if missing or not content["round"] or any("theta" not in one for one in content["round"]):
        raise ConfigError(
            f"--schedule must hold loss, scale, space, round_epochs and a theta for each round, "
            f"{path} lacks {', '.join(sorted(missing)) or 'a round or its theta'}: use the "
            f"schedule.toml of a run"
        )
    return content
