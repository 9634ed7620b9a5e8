"""Losses that set their own scale or margins: AdaCos, AdaM-Softmax (AdaptiveFace).

Shapes: B batch, C classes, J a piece of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.margin import NormFace
from lfs_ray.losses.options import Number, Switch, Value
from lfs_ray.losses.spec import Given, HeadSize, LossSpec
from lfs_ray.losses.split import Negatives

SCALE_LIMITS = (1.0, 1000.0)
"""Between these a dynamic s is held: where few negatives count, ln(B_avg) falls below 0."""


def fixed_scale(num_classes: int) -> float:
    """Scale sqrt(2) ln(C - 1), C >= 3 (Zhang et al. 2019, AdaCos).

    >>> round(fixed_scale(10_575), 2)
    13.1
    """
    return math.sqrt(2.0) * math.log(num_classes - 1)


def next_scale(scale: Tensor, powers_B: Tensor, cos_y_B: Tensor) -> Tensor:
    """Scale s_t = ln(B_avg) / cos(min(pi/4, theta_med)) (Zhang et al. 2019), a scalar.

    Args:
        scale: s_(t-1), a scalar.
        powers_B: sum over the negatives of e^(s_(t-1) (c_j - 1)), (B,); this form can't overflow.
        cos_y_B: target cosines (B,).
    """
    log_average = scale + powers_B.to(scale).mean().log()
    median = cos_y_B.to(scale).clamp(-1.0, 1.0).acos().median()
    found: Tensor = log_average / median.clamp_max(math.pi / 4.0).cos()
    return found.clamp(*SCALE_LIMITS)


class AdaCos(ClassifierLoss):
    """NormFace whose s follows the batch (Zhang et al. 2019, AdaCos).

    s is state: it is moved in training, before it is used. It starts from the fixed value, or from
    the scale given, needs three classes and stays in [1, 1000]: a batch whose negatives are all
    far away would make it negative. dynamic = false keeps s_0.

    Formula:
        z_j = s_t c_j; s_0 = sqrt(2) ln(C - 1); s_t = ln(B_avg) / cos(min(pi/4, theta_med));
        B_avg = mean_i sum_(j != y) exp(s_(t-1) c_ij), theta_med the lower median of the theta_y

    Others differ:
        Some implementations leave s out of checkpoints, so that a resumed run starts from s_0.
    """

    has_statistics: ClassVar[bool] = True

    dynamic_scale: Tensor

    def __init__(self, scale: float) -> None:
        super().__init__(scale)
        self.register_buffer("dynamic_scale", torch.tensor(scale, dtype=torch.float64))

    def statistics(self, cos_BJ: Tensor, cos_y_B: Tensor) -> Tensor:
        """Sums (B, 1) of e^(s (c_j - 1)) over a piece; the target's own entry holds -2."""
        powers_BJ = (cos_BJ - 1.0).mul_(self.dynamic_scale).exp_()
        return powers_BJ.masked_fill_(cos_BJ < -1.5, 0.0).sum(dim=1, keepdim=True)

    def begin(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Move s."""
        assert seen.statistics_BK is not None
        powers_B = seen.statistics_BK[:, 0]
        self.dynamic_scale.copy_(next_scale(self.dynamic_scale, powers_B, cos_y_B))

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.dynamic_scale.clone() * cos_y_B

    def pieces(self, cos_y_B: Tensor, seen: Seen) -> Negatives:
        """Plain negatives under the scale of this batch."""
        return Negatives(scale=self.dynamic_scale.clone())


class AdaMSoftmax(ClassifierLoss):
    """AM-Softmax with a learned margin for each class (Liu et al. 2019, AdaptiveFace).

    The margins start uniformly in [0.3, 0.4]; every training batch puts them back into [0, 1]. The
    penalty keeps them from shrinking to 0.

    Formula:
        z_y = s (c_y - m_y), m_y in [0, 1]; z_j = s c_j; adds lambda (1 - mean_j m_j)

    Others differ:
        FaceX-Zoo's configuration has s = 32.
    """

    def __init__(self, scale: float, num_classes: int, weight: float) -> None:
        super().__init__(scale)
        self.weight = weight
        self.margins_C = nn.Parameter(torch.empty(num_classes).uniform_(0.3, 0.4))

    def begin(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Put the margins back into [0, 1]."""
        self.margins_C.clamp_(0.0, 1.0)

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * (cos_y_B - self.margins_C.clamp(0.0, 1.0)[seen.labels_B])

    def penalty(self, seen: Seen) -> Tensor:
        """What keeps the margins up: lambda (1 - mean_j m_j), a scalar."""
        return self.weight * (1.0 - self.margins_C.clamp(0.0, 1.0).mean())


def _adacos_scale(options: Mapping[str, Value], size: HeadSize | None) -> float:
    assert size is not None
    if size.num_classes < 3:
        raise ConfigError(
            f"loss 'adacos' needs at least 3 classes, found {size.num_classes}: its scale is "
            "sqrt(2) ln(C - 1); use 'normface' with a scale of its own"
        )
    return fixed_scale(size.num_classes)


def _adacos(given: Given) -> ClassifierLoss:
    return AdaCos(given.scale) if given.flag("dynamic") else NormFace(given.scale)


def _adam_softmax(given: Given) -> ClassifierLoss:
    return AdaMSoftmax(given.scale, given.sized().num_classes, given.number("penalty"))


SPECS: dict[str, LossSpec] = {
    "adacos": LossSpec(
        loss=AdaCos,
        make=_adacos,
        scale=None,
        scale_of=_adacos_scale,
        options={"dynamic": Switch(default=True, doc="whether s follows the batch")},
        neutral={"dynamic": False},
        sized=True,
    ),
    "adam_softmax": LossSpec(
        loss=AdaMSoftmax,
        make=_adam_softmax,
        scale=30.0,
        options={
            "penalty": Number(
                default=70.0, low=0.0, high=1e4, doc="lambda, weight of the margins' mean"
            )
        },
        sized=True,
    ),
}
