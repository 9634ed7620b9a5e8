"""Losses with a random margin for each sample: ElasticFace-Arc, ElasticFace-Cos, and their "+".

The draws come from torch's default generator on the CPU, which a trial seeds: the same margins on
any device. Shapes: B batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.margin import RULE, arc_target
from lfs_ray.losses.options import Choice, Number, Option, Switch
from lfs_ray.losses.spec import Given, LossSpec


def _as_drawn(margins_B: Tensor, cos_y_B: Tensor) -> Tensor:
    return margins_B


def _harder_gets_more(margins_B: Tensor, cos_y_B: Tensor) -> Tensor:
    easiest_first_B = cos_y_B.argsort(descending=True, stable=True)
    return torch.empty_like(margins_B).scatter_(0, easiest_first_B, margins_B.sort().values)


def _as_upstream(margins_B: Tensor, cos_y_B: Tensor) -> Tensor:
    easiest_first_B = cos_y_B.argsort(descending=True, stable=True)
    return margins_B.sort().values[easiest_first_B]


ORDERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "none": _as_drawn,
    "intended": _harder_gets_more,
    "upstream": _as_upstream,
}
"""Which sample gets which of the drawn margins: (B,), target cosines (B,) -> (B,)."""


class _Elastic(ClassifierLoss):
    """What both share: the draw of the margins."""

    def __init__(self, scale: float, margin: float, sd: float, plus: str, *, clip: bool) -> None:
        super().__init__(scale)
        self.margin = margin
        self.sd = sd
        self.plus = plus
        self.clip = clip

    def margins(self, cos_y_B: Tensor) -> Tensor:
        """A margin for each sample, (B,), without gradient; outside training it is m for all."""
        if not self.training:
            return torch.full_like(cos_y_B, self.margin)
        return ORDERS[self.plus](self.drawn(len(cos_y_B)).to(cos_y_B), cos_y_B.detach())

    def drawn(self, count: int) -> Tensor:
        """So many draws of N(m, sd), clipped if wished, in no order."""
        noise_B = torch.randn(count, dtype=torch.float64)
        return self.margin + self.sd * (noise_B.clamp(-1.0, 1.0) if self.clip else noise_B)


class ElasticArc(_Elastic):
    """ArcFace with a random margin for each sample (Boutros et al. 2022, ElasticFace-Arc).

    plus = intended gives the larger margins to the harder samples of the batch (ElasticFace-Arc+;
    its sd in the paper is 0.0175). A draw may be negative; clip holds it in [m - sd, m + sd].
    Outside training every margin is m.

    Formula:
        z_y = s cos(theta_y + m_i), m_i ~ N(m, sd); z_j = s c_j; a rule as in ArcFace, "plain" by
        default

    Others differ:
        Its repository: sd = 0.0125 by default; its "+" takes the sorted margins in the order of
        the sorting permutation instead of its inverse, so that margins don't follow hardness
        (plus = upstream).
    """

    def __init__(
        self, scale: float, margin: float, sd: float, plus: str, *, clip: bool, rule: str
    ) -> None:
        super().__init__(scale, margin, sd, plus, clip=clip)
        self.rule = rule

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * arc_target(cos_y_B, self.margins(cos_y_B), self.rule)


class ElasticCos(_Elastic):
    """AM-Softmax with a random margin for each sample (Boutros et al. 2022, ElasticFace-Cos).

    plus = intended gives the larger margins to the harder samples of the batch (ElasticFace-Cos+;
    its sd in the paper is 0.02). A draw may be negative; clip holds it in [m - sd, m + sd].
    Outside training every margin is m.

    Formula:
        z_y = s (c_y - m_i), m_i ~ N(m, sd); z_j = s c_j

    Others differ:
        Its repository: sd = 0.0125 by default; its "+" takes the sorted margins in the order of
        the sorting permutation instead of its inverse, so that margins don't follow hardness
        (plus = upstream).
    """

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * (cos_y_B - self.margins(cos_y_B))


def _elastic_arc(given: Given) -> ClassifierLoss:
    clip, rule = given.flag("clip"), given.text("rule")
    return ElasticArc(given.scale, *_law(given), clip=clip, rule=rule)


def _elastic_cos(given: Given) -> ClassifierLoss:
    return ElasticCos(given.scale, *_law(given), clip=given.flag("clip"))


def _law(given: Given) -> tuple[float, float, str]:
    return given.number("margin"), given.number("sd"), given.text("plus")


def _options(margin: float, unit: str) -> dict[str, Option]:
    return {
        "margin": Number(default=margin, low=0.0, high=1.5, doc=f"m, mean of the margins, {unit}"),
        "sd": Number(default=0.05, low=0.0, high=1.0, doc=f"their standard deviation, {unit}"),
        "plus": Choice(
            default="none",
            names=tuple(ORDERS),
            doc="whose margin is whose: none (as drawn), intended (harder samples get larger "
            "ones), upstream (as its repository orders them)",
        ),
        "clip": Switch(default=False, doc="whether margins are held in [m - sd, m + sd]"),
    }


_RULE = Choice(default="plain", names=RULE.names, doc=RULE.doc)

SPECS: dict[str, LossSpec] = {
    "elastic_arc": LossSpec(
        loss=ElasticArc,
        make=_elastic_arc,
        scale=64.0,
        options={**_options(0.5, "radians"), "rule": _RULE},
        neutral={"margin": 0.0, "sd": 0.0},
    ),
    "elastic_cos": LossSpec(
        loss=ElasticCos,
        make=_elastic_cos,
        scale=64.0,
        options=_options(0.35, "cosine units"),
        neutral={"margin": 0.0, "sd": 0.0},
    ),
}
