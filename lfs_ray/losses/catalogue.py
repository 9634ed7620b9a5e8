"""Every loss by name: configuration -> ClassifierLoss.

A new loss is one file and one line of LOSSES. `build_loss` checks all parameters before anything
is trained.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.margin import ARC_RULES, GRADS, AmSoftmax, ArcFace, NormFace
from lfs_ray.losses.searched import NUM_BINS, GlobalShift, LocalShift
from lfs_ray.losses.spaces import SPACES
from lfs_ray.losses.usual_margins import AM_SOFTMAX_MARGIN, ARCFACE_MARGIN_RAD


@dataclass(frozen=True, kw_only=True, slots=True)
class LossParameters:
    """What `build_loss` was given; each loss reads what concerns it."""

    scale: float
    """s, from cosine to logit; > 0."""
    margin: float | None
    """Additive cosine margin (am_softmax) or angle in radians (arcface); None: the loss's own."""
    rule: str
    """Rule past pi - m, a name in margin.ARC_RULES; arcface only."""
    grad: str
    """"exact" or "detached"; arcface only."""
    theta: tuple[float, ...]
    """The candidate of a searched loss: 1 number for global, 10 for local."""
    space: str
    """What theta's numbers are: a name in spaces.SPACES."""


def _normface(given: LossParameters) -> ClassifierLoss:
    _refuse_margin("normface", given)
    return NormFace(given.scale)


def _am_softmax(given: LossParameters) -> ClassifierLoss:
    return AmSoftmax(
        given.scale, _margin_in("am_softmax", given, default=AM_SOFTMAX_MARGIN, below=2.0)
    )


def _arcface(given: LossParameters) -> ClassifierLoss:
    margin_rad = _margin_in("arcface", given, default=ARCFACE_MARGIN_RAD, below=math.pi)
    _known("rule of loss 'arcface'", given.rule, ARC_RULES)
    _known("grad of loss 'arcface'", given.grad, GRADS)
    return ArcFace(given.scale, margin_rad, given.rule, given.grad)


def _global(given: LossParameters) -> ClassifierLoss:
    (shift,) = _shifts("global", given, num_shifts=1)
    return GlobalShift(given.scale, shift)


def _local(given: LossParameters) -> ClassifierLoss:
    return LocalShift(given.scale, _shifts("local", given, num_shifts=NUM_BINS))


LOSSES: dict[str, Callable[[LossParameters], ClassifierLoss]] = {
    "normface": _normface,
    "am_softmax": _am_softmax,
    "arcface": _arcface,
    "global": _global,
    "local": _local,
}
SEARCHED_LOSSES = frozenset({"global", "local"})


def build_loss(
    name: str,
    *,
    scale: float,
    margin: float | None = None,
    rule: str = "fallback",
    grad: str = "exact",
    theta: Sequence[float] = (),
    space: str = "margin",
) -> ClassifierLoss:
    """The loss called `name`, its parameters checked.

    Args:
        name: a key of LOSSES.
        scale: s > 0.
        margin: am_softmax: m in [0, 2), default 0.35; arcface: radians in [0, pi), default 0.5;
            the others take none.
        rule: arcface: "plain", "fallback", "easy" or "keep".
        grad: arcface: "exact" or "detached".
        theta: global: 1 number; local: 10 numbers; the others take none.
        space: how theta is to be read: a key of SPACES.

    Raises:
        ConfigError: a name is unknown, or a parameter out of range or of no use to this loss.

    >>> build_loss("global", scale=32.0, theta=[0.35]).shift
    11.2
    """
    _known("loss", name, LOSSES)
    if not 0.0 < scale < math.inf:
        raise ConfigError(f"scale of loss '{name}' must be finite and > 0, found {scale}")
    if theta and name not in SEARCHED_LOSSES:
        raise ConfigError(
            f"loss '{name}' takes no theta, found {len(theta)} number(s): leave theta out or use "
            "one of " + ", ".join(sorted(SEARCHED_LOSSES))
        )
    return LOSSES[name](
        LossParameters(
            scale=scale, margin=margin, rule=rule, grad=grad, theta=tuple(theta), space=space
        )
    )


def _known(what: str, name: str, names: Iterable[str]) -> None:
    known = list(names)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "choose one of them"
        raise ConfigError(f"{what} must be one of {', '.join(known)}, found '{name}': {hint}")


def _refuse_margin(name: str, given: LossParameters) -> None:
    if given.margin is not None:
        raise ConfigError(f"loss '{name}' takes no margin, found {given.margin}: leave it out")


def _margin_in(name: str, given: LossParameters, *, default: float, below: float) -> float:
    margin = default if given.margin is None else given.margin
    if not 0.0 <= margin < below:
        raise ConfigError(f"margin of loss '{name}' must be in [0, {below:.5g}), found {margin}")
    return margin


def _shifts(name: str, given: LossParameters, *, num_shifts: int) -> tuple[float, ...]:
    _refuse_margin(name, given)
    _known(f"space of loss '{name}'", given.space, SPACES)
    if len(given.theta) != num_shifts:
        raise ConfigError(
            f"theta of loss '{name}' must have {num_shifts} number(s), found {len(given.theta)}"
        )
    return SPACES[given.space](given.theta, given.scale)
