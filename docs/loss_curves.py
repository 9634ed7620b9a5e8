"""The numbers behind the pictures of docs/losses.md: every one comes from calling the loss.

A picture has two panels: the target logit over the target angle, and the loss over the plain
softmax probability of the target. Both are taken on constructed cosines: the target's is swept,
the others share one value. Shapes: B points of a curve, C classes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.spec import HeadSize

NUM_CLASSES = 100
SIZE = HeadSize(num_classes=NUM_CLASSES, embedding_dim=8, epoch_images=1)
ANGLES_DEG = torch.arange(0.0, 181.0, dtype=torch.float64)
LOG_ODDS = torch.arange(-7.0, 28.01, 0.25, dtype=torch.float64)
PROBABILITIES = torch.arange(1.0, 200.0, dtype=torch.float64) / 200.0
SEED = 0

Points = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One curve: how its loss is built, in which state it is, what surrounds the target."""

    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    theta: tuple[float, ...] = ()
    space: str = ""
    state: Mapping[str, float] = field(default_factory=dict)
    """Parameters and buffers, by name in the checkpoint, set to a value throughout."""
    length: float = 20.0
    """Length of the embedding; class centres have length 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What is drawn of a loss."""

    lines: tuple[Line, ...] = (Line(),)
    note: str = ""
    """What the caption says beside scale and cosines."""
    other: float = 0.2
    """Cosine of every other class."""
    axis: Literal["log-odds", "p"] = "log-odds"
    """Kind of the right panel's axis of p."""
    inner_products: bool = False
    """Whether lengths multiply s; then they do so in both panels."""
    from_loss: bool = False
    """Whether the target logit is computed back from the loss, as the loss changes it late."""
    drawn: bool = False
    """Whether margins are drawn: in training mode, as dots."""
    times: float = 1.0
    """Factor on the loss, for losses whose own is tiny."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A line's points in both panels."""

    label: str
    target: Points
    """Target angle in degrees, target logit / s."""
    loss: Points
    """Probability or log-odds, loss."""


def curves_of(name: str, picture: Picture) -> list[Curve]:
    """The picture's numbers, in float64."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return [
            _curve(line.label or name, built(name, line), line, picture) for line in picture.lines
        ]


def built(name: str, line: Line) -> ClassifierLoss:
    """The loss of a line in its state, in evaluation mode, after seeding."""
    torch.manual_seed(SEED)
    loss = build_loss(name, theta=line.theta, space=line.space, size=SIZE, **line.options).eval()
    state = loss.state_dict()
    for key, value in line.state.items():
        state[key].fill_(value)
    return loss


def digest(curves: list[Curve]) -> str:
    """A short name of the numbers, rounded to 1e-4 so that machines agree on it."""
    text = "\n".join(
        f"{curve.label} {_rounded(curve.target)} {_rounded(curve.loss)}" for curve in curves
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rounded(points: Points) -> str:
    return " ".join(f"{round(x, 4) + 0.0:.4f},{round(y, 4) + 0.0:.4f}" for x, y in points)


def _curve(label: str, loss: ClassifierLoss, line: Line, picture: Picture) -> Curve:
    loss.train(picture.drawn)
    factor = loss.scale * (line.length if picture.inner_products else 1.0)
    angles_deg_B = ANGLES_DEG[::3] if picture.drawn else ANGLES_DEG
    cos_y_B = angles_deg_B.deg2rad().cos()
    logit_B = (_back_from_loss if picture.from_loss else _target)(loss, cos_y_B, line, picture)
    x_B = LOG_ODDS if picture.axis == "log-odds" else PROBABILITIES
    x_B = x_B[::2] if picture.drawn else x_B
    log_odds_B = x_B if picture.axis == "log-odds" else x_B.logit()
    at_B = picture.other + (log_odds_B + math.log(NUM_CLASSES - 1)) / factor
    possible_B = at_B.abs() <= 1.0
    loss_B = _loss(loss, at_B[possible_B], line, picture)
    return Curve(
        label=label,
        target=_points(angles_deg_B, logit_B / factor),
        loss=_points(x_B[possible_B], picture.times * loss_B),
    )


def _points(x_B: Tensor, y_B: Tensor) -> Points:
    return list(zip(x_B.tolist(), y_B.tolist(), strict=True))


def _head(cos_y_B: Tensor, line: Line, picture: Picture) -> tuple[Tensor, Seen]:
    """Cosines (B, C), the target's first, and what a loss may look at beside them."""
    cos_BC = torch.full((len(cos_y_B), NUM_CLASSES), picture.other, dtype=torch.float64)
    cos_BC[:, 0] = cos_y_B
    seen = Seen(
        torch.zeros(len(cos_y_B), dtype=torch.int64),
        norms_B=torch.full_like(cos_y_B, line.length),
        weight_norms_C=torch.ones(NUM_CLASSES, dtype=torch.float64),
    )
    return cos_BC, seen


def _target(loss: ClassifierLoss, cos_y_B: Tensor, line: Line, picture: Picture) -> Tensor:
    cos_BC, seen = _head(cos_y_B, line, picture)
    if loss.has_statistics:
        cos_BC[:, 0] = -2.0
        statistics_BK = loss.statistics(cos_BC, cos_y_B)
        seen = Seen(seen.labels_B, seen.norms_B, seen.weight_norms_C, None, statistics_BK)
    return loss.target(cos_y_B, seen)


def _loss(loss: ClassifierLoss, cos_y_B: Tensor, line: Line, picture: Picture) -> Tensor:
    cos_BC, seen = _head(cos_y_B, line, picture)
    return loss.per_sample(cos_BC, seen.labels_B, seen)


def _back_from_loss(loss: ClassifierLoss, cos_y_B: Tensor, line: Line, picture: Picture) -> Tensor:
    """Target logit of the cross-entropy over s * cos that has this loss."""
    loss_B = _loss(loss, cos_y_B, line, picture)
    others = loss.scale * picture.other + math.log(NUM_CLASSES - 1)
    return others - loss_B - torch.log(-torch.expm1(-loss_B))
