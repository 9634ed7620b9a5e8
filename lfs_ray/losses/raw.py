"""Losses over inner products instead of cosines: Softmax, L2-Softmax, Virtual Softmax.

The lengths of embeddings and centres come beside the cosines; see products.py. These losses need
all classes in one piece: the lengths of the centres have gradients of their own.
Shapes: B batch, C classes, J a piece of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lfs_ray.losses.contract import ClassifierLoss, Seen, softplus
from lfs_ray.losses.options import Switch, Value
from lfs_ray.losses.products import given as checked
from lfs_ray.losses.products import products
from lfs_ray.losses.spec import Given, HeadSize, LossSpec


class Softmax(ClassifierLoss):
    """Softmax cross-entropy of a plain linear layer (Sun et al. 2014, DeepID), lengths and all.

    s multiplies the logits; 1, the default, is the textbook's.

    Formula:
        z_j = s (|W_j| |x| c_j) + b_j; b = 0 unless option bias is on, which starts it at 0

    Others differ:
        A framework's linear layer has a bias by default; face models usually go without.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"norms", "weight_norms"})
    shardable: ClassVar[bool] = False
    plain_negatives: ClassVar[bool] = False

    bias_C: nn.Parameter | None

    def __init__(self, scale: float, num_biases: int = 0) -> None:
        super().__init__(scale)
        self.register_parameter("bias_C", _zeros(num_biases))

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        logit_B = self.scale * lengths(seen) * cos_y_B
        return logit_B if self.bias_C is None else logit_B + self.bias_C[seen.labels_B]

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of the other classes."""
        rows_B = self.scale * checked(seen.norms_B)
        logits_BJ = products(cos_BJ, rows_B, checked(seen.weight_norms_C))
        return logits_BJ if self.bias_C is None else logits_BJ.add_(self.bias_C)


class L2Softmax(ClassifierLoss):
    """Softmax over embeddings of fixed length alpha and free centres (Ranjan et al. 2017, eq. 3).

    The scale is alpha. The paper's bound for a target probability p among C classes is
    alpha >= ln(p (C - 2) / (1 - p)); its values go from 12 to 50.

    Formula:
        z_j = alpha |W_j| c_j + b_j; b starts at 0

    Others differ:
        Some implementations drop the bias (bias = false) or learn alpha (learn_scale = true; in
        the paper both variants of alpha are compared).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"weight_norms"})
    shardable: ClassVar[bool] = False
    plain_negatives: ClassVar[bool] = False

    bias_C: nn.Parameter | None
    alpha: nn.Parameter | None

    def __init__(self, scale: float, num_biases: int, *, learn_scale: bool) -> None:
        super().__init__(scale)
        self.register_parameter("bias_C", _zeros(num_biases))
        learned = nn.Parameter(torch.tensor(scale)) if learn_scale else None
        self.register_parameter("alpha", learned)

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        logit_B = self._lengths(seen)[seen.labels_B] * cos_y_B
        return logit_B if self.bias_C is None else logit_B + self.bias_C[seen.labels_B]

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of the other classes."""
        logits_BJ = products(cos_BJ, torch.ones_like(cos_y_B), self._lengths(seen))
        return logits_BJ if self.bias_C is None else logits_BJ.add_(self.bias_C)

    def _lengths(self, seen: Seen) -> Tensor:
        alpha = self.scale if self.alpha is None else self.alpha
        return alpha * checked(seen.weight_norms_C)


class VirtualSoftmax(Softmax):
    """One more, virtual class whose centre lies along each embedding (Chen et al. 2018).

    Its centre is W_y turned onto x, so its logit is the largest that a class of that length can
    have. It stands in the denominator only.

    Formula:
        z_j = s |W_j| |x| c_j, and one more logit s |W_y| |x|;
        normalised = true: z_j = s c_j, and one more logit s

    Others differ:
        The paper's form has no scale (s = 1); normalised embeddings and centres need one (32).
    """

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit and the log-sum-exp of the negatives, both (B,)."""
        virtual_B = self.scale * lengths(seen)
        return softplus(torch.logaddexp(others_B, virtual_B) - target_B)


class NormalisedVirtualSoftmax(ClassifierLoss):
    """Virtual Softmax over s * cos: the option normalised."""

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit and the log-sum-exp of the negatives, both (B,)."""
        virtual_B = torch.full_like(others_B, self.scale)
        return softplus(torch.logaddexp(others_B, virtual_B) - target_B)


def lengths(seen: Seen) -> Tensor:
    """|W_y| |x| of each sample, (B,)."""
    return checked(seen.weight_norms_C)[seen.labels_B] * checked(seen.norms_B)


def raw_or_normalised_scale(options: Mapping[str, Value], size: HeadSize | None) -> float:
    """Usual s: 1 over inner products, 32 over cosines."""
    return 32.0 if options["normalised"] else 1.0


def _zeros(num_biases: int) -> nn.Parameter | None:
    return nn.Parameter(torch.zeros(num_biases)) if num_biases else None


def _num_biases(given: Given) -> int:
    return given.sized().num_classes if given.flag("bias") else 0


def _softmax(given: Given) -> ClassifierLoss:
    return Softmax(given.scale, _num_biases(given))


def _l2_softmax(given: Given) -> ClassifierLoss:
    learn_scale = given.flag("learn_scale")
    return L2Softmax(given.scale, _num_biases(given), learn_scale=learn_scale)


def _v_softmax(given: Given) -> ClassifierLoss:
    normalised = given.flag("normalised")
    return NormalisedVirtualSoftmax(given.scale) if normalised else VirtualSoftmax(given.scale)


NORMALISED = Switch(
    default=False, doc="whether lengths are left out: s * cos in place of inner products"
)

SPECS: dict[str, LossSpec] = {
    "softmax": LossSpec(
        loss=Softmax,
        make=_softmax,
        scale=1.0,
        options={"bias": Switch(default=False, doc="whether every class has a learned bias")},
        sized=True,
    ),
    "l2_softmax": LossSpec(
        loss=L2Softmax,
        make=_l2_softmax,
        scale=40.0,
        options={
            "bias": Switch(default=True, doc="whether every class has a learned bias"),
            "learn_scale": Switch(default=False, doc="whether alpha is learned, from scale on"),
        },
        sized=True,
    ),
    "v_softmax": LossSpec(
        loss=VirtualSoftmax,
        make=_v_softmax,
        scale=None,
        scale_of=raw_or_normalised_scale,
        options={"normalised": NORMALISED},
    ),
}
