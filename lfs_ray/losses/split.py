"""The only pass over all classes: cosines (B, C) -> target cosine (B,), negatives' lse (B,).

Every loss whose negatives are plain needs no more than these two numbers a sample; what follows
(margin, shift, bins, softplus) is arithmetic on vectors of length B. Leaving the target out of the
log-sum-exp keeps the loss exact where the target probability is within rounding of 1.

Shapes: B batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable


def at_least_fp32(cos: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay as they are."""
    return cos if cos.dtype in (torch.float32, torch.float64) else cos.float()


class _Split(Function):
    """Saves the softmax over the negatives (0 at the target): one (B, C) buffer and no other."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, values_BC: Tensor, labels_B: Tensor, scale: float
    ) -> tuple[Tensor, Tensor]:
        target_B1 = labels_B.unsqueeze(1)
        value_y_B = values_BC.gather(1, target_B1).squeeze(1)
        logits_BC = values_BC * scale
        logits_BC.scatter_(1, target_B1, -torch.inf)
        p_BC = torch.softmax(logits_BC, dim=1)
        # The largest negative is the largest probability, at least 1/C: its logarithm is safe, and
        # the log-sum-exp costs two reads of a matrix instead of an exponential more.
        lse_B = logits_BC.amax(dim=1) - p_BC.amax(dim=1).log()
        ctx.save_for_backward(p_BC, target_B1)
        ctx.scale = scale  # type: ignore[attr-defined]
        return value_y_B, lse_B

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_y_B: Tensor, grad_lse_B: Tensor
    ) -> tuple[Tensor, None, None]:
        p_BC, target_B1 = ctx.saved_tensors  # type: ignore[attr-defined]
        scale: float = ctx.scale  # type: ignore[attr-defined]
        grad_BC = p_BC * (grad_lse_B * scale).unsqueeze(1)
        return grad_BC.scatter_(1, target_B1, grad_y_B.unsqueeze(1)), None, None


def split(values_BC: Tensor, labels_B: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Target value and the log-sum-exp of the scaled others: v_y, ln sum_{j != y} exp(s v_j).

    Args:
        values_BC: cosines, or any values whose product with `scale` is a logit; fp32 or fp64.
        labels_B: int64 in [0, C), with C >= 2.
        scale: s > 0.

    Returns:
        v_y of shape (B,), unscaled, and the log-sum-exp over the negatives, of shape (B,).
    """
    value_y_B, lse_B = _Split.apply(values_BC, labels_B, scale)  # type: ignore[no-untyped-call]
    return value_y_B, lse_B
