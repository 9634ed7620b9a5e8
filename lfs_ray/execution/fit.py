"""Whether policy, loss, space and members of each population fit together.

Asked by the command line with everything else that is checked, before any worker starts.
Populations mostly share what is wrong with them, so a mistake is stated once, with the names of
those that have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lfs_ray.config.compat import switch_mistakes, with_switches
from lfs_ray.config.resolve import populations_of
from lfs_ray.config.sections import (
    Config,
    LossConfig,
    ModelConfig,
    PopulationConfig,
    SearchConfig,
)
from lfs_ray.errors import ConfigError
from lfs_ray.execution.blueprint import build_searcher
from lfs_ray.losses.catalogue import LOSSES, SEARCHED_LOSSES
from lfs_ray.losses.options import nearest_hint
from lfs_ray.search.space import SearchSpace
from lfs_ray.training.loss_choice import goes_by_chunks, loss_mistakes, resolved_loss

MOST_MEMBERS = {"random": 1, "schedule": 1}
LEAST_MEMBERS = {"cma": 3, "selection_only": 2}
"""Beside those of policies that learn, which say so themselves."""
NO_THETA_POLICIES = ("fixed",)
KEYS = {
    "loss must ": "loss.name must ",
    "the start ": "search.start ",
    "the sigma of a policy that learns ": "search.sigma of a policy that learns ",
    "sigma ": "search.sigma ",
    "the policy's learning rate ": "search.learning_rate ",
    "compat of a policy ": "search.compat ",
    "compat ": "search.compat ",
}
"""How losses and search call what the configuration calls otherwise."""

Finding = tuple[str, str]  # what must hold and was found; what to do


def population_mistakes(config: Config) -> list[str]:
    """One line for everything that does not fit in one or several populations."""
    found: dict[Finding, list[str]] = {}
    for name, given in populations_of(config).items():
        population = with_switches(given, config.optimizer)
        switches = map(_parted, switch_mistakes(given, config.optimizer))
        findings = [*switches, *_findings(population.search, population.loss)]
        for finding in [*findings, *_loss_and_classifier(population.loss, config.model)]:
            found.setdefault(finding, []).append(name)
    lines = []
    for (problem, advice), names in found.items():
        plural = "s" if len(names) > 1 else ""
        place = f" in population{plural} {', '.join(names)}" if config.populations else ""
        lines.append(f"{problem}{place}: {advice}")
    return lines


def with_losses_resolved(config: Config) -> Config:
    """The configuration with scale, options and space of every loss written out.

    It has no mistakes. Resolving again changes nothing.
    """
    populations = {name: _resolved(population) for name, population in config.populations.items()}
    shared = _resolved(PopulationConfig(search=config.search, loss=config.loss))
    return replace(config, search=shared.search, loss=shared.loss, populations=populations)


def _resolved(population: PopulationConfig) -> PopulationConfig:
    search, loss = population.search, population.loss
    if loss.name not in LOSSES or loss_mistakes(loss):
        return population  # a template that no population uses may be unfit
    spaces = LOSSES[loss.name].spaces
    if spaces and not search.space:
        search = replace(search, space=spaces[0])
    return PopulationConfig(search=search, loss=resolved_loss(loss))


def _findings(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    found = [_parted(line) for line in loss_mistakes(loss)]
    yield from found
    if found:
        return
    found = [*_loss_and_policy(search, loss), *_loss_and_space(search, loss)]
    yield from found
    yield from _members(search)
    if not found:
        yield from _searcher(search, loss)


def _parted(line: str) -> Finding:
    problem, _, advice = line.partition(": ")
    return _by_key(problem), advice


def _members(search: SearchConfig) -> Iterator[Finding]:
    if search.members > MOST_MEMBERS.get(search.policy, search.members):
        yield (
            f"search.members must be 1 for policy {search.policy}, got {search.members}",
            "lower it, or use policy selection_only",
        )
    if search.members < LEAST_MEMBERS.get(search.policy, 1):
        yield _too_few(search)


def _too_few(search: SearchConfig) -> Finding:
    least = LEAST_MEMBERS.get(search.policy, 2)
    return (
        f"search.members must be at least {least} for policy {search.policy}, got "
        f"{search.members}",
        "raise it, or use policy random",
    )


def _loss_and_policy(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    if loss.name not in SEARCHED_LOSSES and search.policy not in NO_THETA_POLICIES:
        yield (
            f"search.policy must be fixed for loss {loss.name}, got {search.policy}",
            f"set it to fixed, or search one of {', '.join(sorted(SEARCHED_LOSSES))}",
        )


def _loss_and_space(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    spaces = LOSSES[loss.name].spaces
    if spaces and search.space and search.space not in spaces:
        yield (
            f"search.space must be one of {', '.join(spaces)} for loss {loss.name}, got "
            f"{search.space}",
            nearest_hint(search.space, spaces),
        )


def _loss_and_classifier(loss: LossConfig, model: ModelConfig) -> Iterator[Finding]:
    if model.classifier == "chunked" and not loss_mistakes(loss) and not goes_by_chunks(loss):
        yield (
            f"model.classifier must be dense for loss {loss.name} under its options, which needs "
            "all classes at once, got chunked",
            "set it to dense, or take another loss",
        )


def _searcher(search: SearchConfig, loss: LossConfig) -> Iterator[Finding]:
    """What space and policy say of their settings, of the warm-up and of a script."""
    try:
        searcher = build_searcher(search, resolved_loss(loss))
    except ConfigError as error:
        yield from map(_of_search, error.mistakes)
        return
    if searcher.policy.learns and search.members == 1 and search.policy not in LEAST_MEMBERS:
        yield _too_few(search)
    space = searcher.space
    if isinstance(space, SearchSpace):
        yield from _warmup(search, searcher.warmup_theta, space)
        if search.policy == "schedule":
            yield from _script(search, loss, space)


def _warmup(
    search: SearchConfig, theta: tuple[float, ...], space: SearchSpace
) -> Iterator[Finding]:
    if search.warmup_theta and len(theta) != space.size:
        yield (
            f"search.warmup_theta must hold {_one_or(space.size)}, got {len(theta)}",
            "give one for all components, or one each",
        )
    elif search.warmup_theta:
        yield from _inside("search.warmup_theta", [theta], space)


def _script(search: SearchConfig, loss: LossConfig, space: SearchSpace) -> Iterator[Finding]:
    script, size = search.script, space.size
    if not script or len(script) % size:
        yield (
            f"search.script must hold {size} for each round of policy schedule with loss "
            f"{loss.name}, got {len(script)} in all",
            "take it from a schedule.toml: lfs-ray train --schedule FILE",
        )
    else:
        thetas = [script[i : i + size] for i in range(0, len(script), size)]
        yield from _inside("search.script", thetas, space)


def _inside(
    key: str, thetas: Sequence[tuple[float, ...]], space: SearchSpace
) -> Iterator[Finding]:
    """One finding where a theta would not be trained as it stands."""
    bounds = list(zip(space.names, *space.bounds, strict=True))
    for theta in thetas:
        for (name, low, high), number in zip(bounds, theta, strict=True):
            if not low <= number <= high:
                yield (
                    f"{key} must lie in [{low:g}, {high:g}] ({name} of space {space.name}), got "
                    f"{number}",
                    "move it into the range",
                )
                return


def _of_search(line: str) -> Finding:
    """A mistake that the search finds, told by the configuration's keys.

    The search's own lines read "what must hold; found what[; what to do]".
    """
    problem, found, advice = (*line.split("; ", 2), "", "")[:3]
    problem = _by_key(problem.replace("1 or 1 numbers", "1 number"))
    return f"{problem}, {found.replace('found', 'got', 1)}", advice or "correct it"


def _by_key(problem: str) -> str:
    """The line with the key's name in front where it had another one."""
    for phrase, key in KEYS.items():
        if problem.startswith(phrase):
            return key + problem.removeprefix(phrase)
    return problem


def _one_or(size: int) -> str:
    return "1 number" if size == 1 else f"1 or {size} numbers"
