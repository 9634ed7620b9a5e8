"""The only pass over all classes: cosines (B, C) -> target cosine (B,), sum over negatives (B,).

Every loss needs no more than these two numbers a sample; what follows (margin, shift, bins,
softplus) is arithmetic on vectors of length B. Leaving the target out of the log-sum-exp keeps the
loss exact where the target probability is within rounding of 1. Negatives that are not s * cos
give their logits and slopes, so that no graph over all classes is kept.

Shapes: B batch, C classes, J a piece of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable


def at_least_fp32(cos: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay as they are."""
    return cos if cos.dtype in (torch.float32, torch.float64) else cos.float()


@dataclass(frozen=True, kw_only=True, slots=True)
class Negatives:
    """How the other classes' cosines become logits, and how these are summed.

    Attributes:
        scale: s, where the logit is s * cos; a tensor is a scalar without gradient.
        logits: (B, J) cosines -> new (B, J) logits; None: s * cos.
        slopes: (B, J) cosines -> new (B, J) derivatives of the logits; needed with `logits`.
        sums: "exp": ln sum_j exp(logit); "softplus": sum_j ln(1 + exp(logit)).
    """

    scale: float | Tensor = 1.0
    logits: Callable[[Tensor], Tensor] | None = None
    slopes: Callable[[Tensor], Tensor | None] | None = None
    sums: Literal["exp", "softplus"] = "exp"

    def of(self, cos_BJ: Tensor, offset: Tensor | None) -> Tensor:
        """Logits (B, J), a new tensor."""
        logits_BJ = cos_BJ * self.scale if self.logits is None else self.logits(cos_BJ)
        return logits_BJ if offset is None else logits_BJ.add_(offset)

    def backward(self, cos_BJ: Tensor, shares_BJ: Tensor, grad_B: Tensor) -> Tensor:
        """Gradient (B, J) by the cosines, from the derivative of the sum by each logit."""
        slopes_BJ = None if self.slopes is None else self.slopes(cos_BJ)
        if slopes_BJ is None:
            return shares_BJ * (grad_B * self.scale).unsqueeze(1)
        return slopes_BJ.mul_(shares_BJ).mul_(grad_B.unsqueeze(1))


class _Split(Function):
    """Saves each logit's share of the sum (0 at the target): one (B, C) buffer and no other."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        values_BC: Tensor,
        labels_B: Tensor,
        negatives: Negatives,
        offset: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        target_B1 = labels_B.unsqueeze(1)
        value_y_B = values_BC.gather(1, target_B1).squeeze(1)
        logits_BC = negatives.of(values_BC, offset).scatter_(1, target_B1, -torch.inf)
        if negatives.sums == "softplus":
            shares_BC = torch.sigmoid(logits_BC)
            sum_B = softplus_sum(logits_BC)
        else:
            shares_BC = torch.softmax(logits_BC, dim=1)
            # The largest negative is the largest probability, at least 1/C: its logarithm is safe,
            # and the log-sum-exp costs two reads of a matrix instead of an exponential more.
            sum_B = logits_BC.amax(dim=1) - shares_BC.amax(dim=1).log()
        saved = () if negatives.logits is None else (values_BC,)
        ctx.save_for_backward(shares_BC, target_B1, *saved)
        ctx.negatives = negatives  # type: ignore[attr-defined]
        return value_y_B, sum_B

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_y_B: Tensor, grad_sum_B: Tensor
    ) -> tuple[Tensor, None, None, Tensor | None]:
        shares_BC, target_B1, *saved = ctx.saved_tensors  # type: ignore[attr-defined]
        negatives: Negatives = ctx.negatives  # type: ignore[attr-defined]
        values_BC = saved[0] if saved else shares_BC
        grad_BC = negatives.backward(values_BC, shares_BC, grad_sum_B)
        grad_BC.scatter_(1, target_B1, grad_y_B.unsqueeze(1))
        grad_offset = None
        if ctx.needs_input_grad[3]:  # type: ignore[attr-defined]
            grad_offset = (shares_BC.sum(dim=1) * grad_sum_B).sum()
        return grad_BC, None, None, grad_offset


def split(
    values_BC: Tensor, labels_B: Tensor, negatives: Negatives, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Target value and the sum over the others' logits.

    Args:
        values_BC: cosines, or any values that `negatives` turns into logits; fp32 or fp64.
        labels_B: int64 in [0, C), with C >= 2.
        negatives: what becomes of the other classes.
        offset: learned scalar added to every negative's logit.

    Returns:
        v_y of shape (B,), as it is, and the sum over the negatives, of shape (B,).
    """
    value_y_B, sum_B = _Split.apply(values_BC, labels_B, negatives, offset)  # type: ignore[no-untyped-call]
    return value_y_B, sum_B


def softplus_sum(logits_BJ: Tensor) -> Tensor:
    """Sum (B,) of ln(1 + e^z) over a piece, exact to rounding for any z; destroys `logits_BJ`."""
    positive_B = logits_BJ.clamp_min(0.0).sum(dim=1)
    return positive_B + logits_BJ.abs_().neg_().exp_().log1p_().sum(dim=1)
