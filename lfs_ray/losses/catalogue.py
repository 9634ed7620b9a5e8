"""Every loss by name: name and options -> ClassifierLoss.

A new loss is one file (or a class in its family's file) and one line of LOSSES. `mistakes_in` and
`build_loss` judge all options before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lfs_ray.errors import ConfigError
from lfs_ray.losses import (
    adaptive,
    am_lfs,
    angular,
    combined,
    elastic,
    hard_negatives,
    margin,
    norms,
    npcface,
    random_margin,
    raw,
    searched,
    sphereface2,
    sub_centers,
    taylor,
    uniface,
    weighted_negatives,
)
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.options import Value, nearest_hint
from lfs_ray.losses.spec import Given, HeadSize, LossSpec

LOSSES: dict[str, LossSpec] = {
    "softmax": raw.SPECS["softmax"],
    "l2_softmax": raw.SPECS["l2_softmax"],
    "v_softmax": raw.SPECS["v_softmax"],
    "l_softmax": angular.SPECS["l_softmax"],
    "a_softmax": angular.SPECS["a_softmax"],
    "sphereface_r": angular.SPECS["sphereface_r"],
    "normface": margin.SPECS["normface"],
    "am_softmax": margin.SPECS["am_softmax"],
    "arcface": margin.SPECS["arcface"],
    "combined": combined.SPECS["combined"],
    "sub_center_arcface": sub_centers.SPECS["sub_center_arcface"],
    "adacos": adaptive.SPECS["adacos"],
    "adam_softmax": adaptive.SPECS["adam_softmax"],
    "elastic_arc": elastic.SPECS["elastic_arc"],
    "elastic_cos": elastic.SPECS["elastic_cos"],
    "magface": norms.SPECS["magface"],
    "adaface": norms.SPECS["adaface"],
    "mv_am": hard_negatives.SPECS["mv_am"],
    "mv_arc": hard_negatives.SPECS["mv_arc"],
    "curricularface": hard_negatives.SPECS["curricularface"],
    "npcface": npcface.SPECS["npcface"],
    "arcnegface": weighted_negatives.SPECS["arcnegface"],
    "circle": weighted_negatives.SPECS["circle"],
    "uniface": uniface.SPECS["uniface"],
    "unitsface": uniface.SPECS["unitsface"],
    "sphereface2": sphereface2.SPECS["sphereface2"],
    "global": searched.SPECS["global"],
    "local": searched.SPECS["local"],
    "am_lfs": am_lfs.SPECS["am_lfs"],
    "random_margin": random_margin.SPECS["random_margin"],
    "taylor": taylor.SPECS["taylor"],
}
SEARCHED_LOSSES = frozenset(name for name, spec in LOSSES.items() if spec.spaces)
SCALES = (1.0, 1000.0)
"""Least and greatest s: beyond them no loss trains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What may be said of any loss beside its theta."""

    scale: float | None = None
    """s in [1, 1000]; None: the loss's own."""
    options: Mapping[str, Value] = field(default_factory=dict)
    """By name, as in the loss's spec; those left out have their defaults."""
    focal_gamma: float = 0.0
    """Focal factor on top; 0: none."""


def settled(name: str, choices: Choices) -> tuple[Choices, list[str]]:
    """The choices with every default filled in, and what is wrong with them, one line each.

    The scale stays None where the loss computes its own from options or sizes.
    """
    if name not in LOSSES:
        known = ", ".join(LOSSES)
        return choices, [
            f"loss must be one of {known}, found '{name}': {nearest_hint(name, LOSSES)}"
        ]
    spec = LOSSES[name]
    mistakes = list(_scale_mistakes(name, choices))
    options: dict[str, Value] = {key: option.default for key, option in spec.options.items()}
    for key, value in choices.options.items():
        if key not in spec.options:
            mistakes.append(_unknown(name, key, value))
            continue
        try:
            options[key] = spec.options[key].read(value)
        except ValueError:
            allowed, doc = spec.options[key].allowed, spec.options[key].doc
            mistakes.append(
                f"option {key} of loss '{name}' must be {allowed}, found {value}: correct it "
                f"({key} is {doc})"
            )
    scale = spec.scale if choices.scale is None else choices.scale
    return Choices(scale=scale, options=options, focal_gamma=choices.focal_gamma), mistakes


def build_loss(
    name: str,
    *,
    scale: float | None = None,
    theta: Sequence[float] = (),
    space: str = "",
    size: HeadSize | None = None,
    focal_gamma: float = 0.0,
    **options: Value,
) -> ClassifierLoss:
    """The loss called `name`, its options checked.

    Args:
        name: a key of LOSSES.
        scale: s in [1, 1000]; None: the loss's own.
        theta: the candidate of a searched loss; the others take none.
        space: how theta is to be read; empty: the first of the loss's spaces.
        size: sizes of classifier and epoch, which some losses need.
        focal_gamma: focal factor on top, >= 0.
        options: those of the loss's spec, by name.

    Raises:
        ConfigError: a name is unknown, or a value out of range or of no use to this loss.

    >>> build_loss("global", scale=32.0, theta=[0.35]).shift
    11.2
    """
    choices, mistakes = settled(
        name, Choices(scale=scale, options=options, focal_gamma=focal_gamma)
    )
    if name in LOSSES:
        mistakes += _theta_mistakes(name, choices, theta, space)
        mistakes += _size_mistakes(name, size)
    if mistakes:
        raise ConfigError(mistakes)
    spec = LOSSES[name]
    given = Given(
        scale=_scale(spec, choices, size),
        options=choices.options,
        theta=tuple(theta),
        space=space or (spec.spaces[0] if spec.spaces else ""),
        size=size,
    )
    loss = spec.make(given)
    loss.focal_gamma = focal_gamma
    return loss


def _scale(spec: LossSpec, choices: Choices, size: HeadSize | None) -> float:
    if choices.scale is not None:
        return choices.scale
    assert spec.scale_of is not None
    return spec.scale_of(choices.options, size)


def _scale_mistakes(name: str, choices: Choices) -> Iterator[str]:
    low, high = SCALES
    if choices.scale is not None and not low <= choices.scale <= high:
        yield (
            f"scale of loss '{name}' must be in [{low:g}, {high:g}], found {choices.scale}: "
            "16 to 64 are usual"
        )
    if not 0.0 <= choices.focal_gamma <= 10.0:
        yield (
            f"focal_gamma of loss '{name}' must be in [0, 10], found {choices.focal_gamma}: "
            "2 is usual, 0 is none"
        )
    elif choices.focal_gamma > 0.0 and not LOSSES[name].focal:
        yield (
            f"loss '{name}' takes no focal_gamma, as its value may be negative, found "
            f"{choices.focal_gamma}: leave it out"
        )


def _unknown(name: str, key: str, value: Value) -> str:
    known = LOSSES[name].options
    if not known:
        return f"loss '{name}' takes no options, found {key} = {value}: leave it out"
    return (
        f"options of loss '{name}' must be among {', '.join(known)}, found {key} = {value}: "
        f"{nearest_hint(key, known)} or leave it out"
    )


def _theta_mistakes(
    name: str, choices: Choices, theta: Sequence[float], space: str
) -> Iterator[str]:
    spec = LOSSES[name]
    if theta and not spec.spaces:
        yield (
            f"loss '{name}' takes no theta, found {len(theta)} number(s): leave theta out or use "
            "one of " + ", ".join(sorted(SEARCHED_LOSSES))
        )
    if not spec.spaces:
        return
    space = space or spec.spaces[0]
    if space not in spec.spaces:
        yield (
            f"space of loss '{name}' must be one of {', '.join(spec.spaces)}, found '{space}': "
            f"{nearest_hint(space, spec.spaces)}"
        )
        return
    wanted = spec.num_theta(space, choices.options)
    if len(theta) != wanted:
        yield (
            f"theta of loss '{name}' in space '{space}' must have {wanted} number(s), found "
            f"{len(theta)}: correct theta, or take another space"
        )


def _size_mistakes(name: str, size: HeadSize | None) -> Iterator[str]:
    if LOSSES[name].sized and size is None:
        yield f"loss '{name}' needs the sizes of its classifier, found none: pass size=HeadSize"
