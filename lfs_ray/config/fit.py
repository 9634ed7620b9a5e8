"""Whether policy, loss, space and members of each population fit together.

Part of `check`. Populations mostly share what is wrong with them, so a mistake is stated once,
with the names of those that have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lfs_ray.config.resolve import populations_of
from lfs_ray.config.sections import Config, LossConfig, SearchConfig

THETA_SIZES = {"global": 1, "local": 10}  # of the searched losses
LEAST_MEMBERS = {"selection_only": 2, "reinforce": 2}
MOST_MEMBERS = {"random": 1, "schedule": 1}
LOSS_OF_SPACE = {"released-global": "global", "released-local": "local"}
FOLDED_SPACES = ("raw", "released-global", "released-local")
MARGIN_BELOW = {"am_softmax": (2.0, "2"), "arcface": (math.pi, "pi")}

Finding = tuple[str, str]  # what must hold and was found; what to do


def population_mistakes(config: Config) -> Iterator[str]:
    """Yield one line for everything that does not fit in one or several populations."""
    found: dict[Finding, list[str]] = {}
    for name, population in populations_of(config).items():
        for finding in _findings(population.search, population.loss):
            found.setdefault(finding, []).append(name)
    for (problem, advice), names in found.items():
        plural = "s" if len(names) > 1 else ""
        place = f" in population{plural} {', '.join(names)}" if config.populations else ""
        yield f"{problem}{place}: {advice}"


def _findings(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    yield from _members(search)
    yield from _loss_and_policy(search, loss)
    yield from _loss_and_space(search, loss)
    yield from _script(search, loss)
    yield from _within_margins("search.start", search.start, search)
    yield from _within_margins("search.warmup_theta", search.warmup_theta, search)
    yield from _warmup_sign(search)
    yield from _margin(loss)


def _members(search: SearchConfig) -> Iterator[Finding]:
    least = LEAST_MEMBERS.get(search.policy, 1)
    found = f"for policy {search.policy}, got {search.members}"
    if 1 <= search.members < least:
        advice = "raise it, or use policy random"
        yield f"search.members must be at least {least} {found}", advice
    if search.members > MOST_MEMBERS.get(search.policy, search.members):
        yield f"search.members must be 1 {found}", "lower it, or use policy selection_only"


def _loss_and_policy(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    if loss.name not in THETA_SIZES and search.policy != "fixed":
        yield (
            f"search.policy must be fixed for loss {loss.name}, got {search.policy}",
            f"set it to fixed, or search loss {' or '.join(THETA_SIZES)}",
        )


def _loss_and_space(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    needed = LOSS_OF_SPACE.get(search.space)
    if needed is not None and loss.name in THETA_SIZES and loss.name != needed:
        yield (
            f"loss.name must be {needed} for space {search.space}, got {loss.name}",
            "change the loss or the space",
        )


def _script(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    size, length = THETA_SIZES.get(loss.name, 1), len(search.script)
    if search.policy == "schedule" and (length == 0 or length % size):
        yield (
            f"search.script must hold {size} for each round of policy schedule with loss "
            f"{loss.name}, got {length} in all",
            "take it from a schedule.toml: lfs-ray train --schedule FILE",
        )


def _within_margins(key: str, theta: float | None, search: SearchConfig) -> Iterator[Finding]:
    """Judge a number of the space margin; the bounds of space log are judged where it is built."""
    if theta is not None and search.space == "margin" and not 0 <= theta <= search.margin_max:
        yield (
            f"{key} must be from 0 to search.margin_max ({search.margin_max}) in space margin, "
            f"got {theta}",
            "move it into the range",
        )


def _warmup_sign(search: SearchConfig) -> Iterator[Finding]:
    theta = search.warmup_theta
    if theta is not None and theta > 0 and search.space in FOLDED_SPACES:
        yield (
            f"search.warmup_theta must be at most 0 in space {search.space}, got {theta}",
            "write it with a minus sign",
        )


def _margin(loss: LossConfig) -> Iterator[Finding]:
    below, text = MARGIN_BELOW.get(loss.name, (math.inf, ""))
    if loss.margin is not None and loss.margin >= below:
        yield (
            f"loss.margin must be below {text} for loss {loss.name}, got {loss.margin}",
            "lower it (usual are 0.1 to 0.5)",
        )
