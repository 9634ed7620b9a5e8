"""The section `loss` of a configuration -> what the catalogue builds.

Before a run: `loss_mistakes` judges it, `resolved_loss` writes every default out, so that the
run's own configuration says all there is to say. In a trial: `new_loss` builds it under its theta.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from lfs_ray.config.sections import LossConfig
from lfs_ray.losses.catalogue import LOSSES, Choices, build_loss, settled
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.options import Value
from lfs_ray.losses.spec import HeadSize

_KEYS = ("margin", "rule", "grad")
"""Options that have a key of their own in the section."""


def loss_mistakes(loss: LossConfig) -> list[str]:
    """What is wrong with the section, one line each."""
    choices, mistakes = _choices(loss)
    return mistakes + settled(loss.name, choices)[1]


def resolved_loss(loss: LossConfig) -> LossConfig:
    """The section with scale and every option of the loss written out; it has no mistakes."""
    choices, _ = settled(loss.name, _choices(loss)[0])
    given = choices.options
    rest = {key: value for key, value in given.items() if key not in _KEYS}
    return replace(
        loss,
        scale=choices.scale,
        margin=float(given["margin"]) if "margin" in given else None,
        rule=str(given["rule"]) if "rule" in given else None,
        grad=str(given["grad"]) if "grad" in given else None,
        options=tuple(f"{key}={_text(value)}" for key, value in sorted(rest.items())),
    )


def goes_by_chunks(loss: LossConfig) -> bool:
    """Whether the loss can be had over chunks of classes; the section has no mistakes."""
    spec, (choices, _) = LOSSES[loss.name], _choices(loss)
    space = spec.spaces[0] if spec.spaces else ""
    options = settled(loss.name, choices)[0].options
    theta = (0.0,) * (spec.num_theta(space, options) if space else 0)
    size = HeadSize(num_classes=3, embedding_dim=1, epoch_images=1)
    built = new_loss(loss, theta=theta, space=space, size=size, init_seed=0)
    return built.shardable and "weight_norms" not in built.needs


def new_loss(
    loss: LossConfig, *, theta: tuple[float, ...], space: str, size: HeadSize, init_seed: int
) -> ClassifierLoss:
    """The loss of a trial.

    Args:
        loss: the section of its population.
        theta: the candidate; empty for a loss that isn't searched.
        space: what theta's numbers are.
        size: sizes of classifier and epoch.
        init_seed: seed of whatever it initialises at random.

    Raises:
        ConfigError: the section has mistakes.
    """
    choices, _ = _choices(loss)
    searched = bool(LOSSES[loss.name].spaces)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init_seed)
        return build_loss(
            loss.name,
            scale=choices.scale,
            theta=theta if searched else (),
            space=space if searched else "",
            size=size,
            focal_gamma=loss.focal_gamma,
            **choices.options,
        )


def _choices(loss: LossConfig) -> tuple[Choices, list[str]]:
    options: dict[str, Value] = {}
    mistakes = []
    for text in loss.options:
        name, equals, value = text.partition("=")
        if not equals:
            mistakes.append(
                f"loss.options must be texts name=value, got {text!r}: write it like 't=0.2'"
            )
            continue
        options[name.strip()] = value.strip()
    own = {"margin": loss.margin, "rule": loss.rule, "grad": loss.grad}
    options |= _given(own)
    return Choices(scale=loss.scale, options=options, focal_gamma=loss.focal_gamma), mistakes


def _given(values: Mapping[str, Value | None]) -> dict[str, Value]:
    return {key: value for key, value in values.items() if value is not None}


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
