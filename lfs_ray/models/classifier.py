"""The cosine classifier: embeddings (B, D) -> cosines to C class centres (B, C).

Between a backbone and a loss; it exists during training only. Centres are never normalised as they
stand, which would take two more buffers of their size and longer than the product itself: the
cosine is x w / |w|. Shapes: B batch, C classes, M some of the centres, D embedding dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

_WEIGHT_STD = 0.01
SMALLEST_NORM = 1e-6
"""Least length of a vector that is normalised."""
_ROWS = 4096
"""Centres whose gradient is made at a time: it stays in a processor's cache."""


class CosineClassifier(nn.Module):
    """One centre per class; both sides are normalised, and no autocast reaches the cosine.

    Args:
        embedding_dim: D.
        num_classes: C >= 2.
        sub_centers: K >= 1 centres a class (Deng et al. 2020, sub-center ArcFace); the cosine of
            a class is that of its nearest one. Row k of class c is c K + k.

    The centres start as N(0, 0.01^2), drawn from torch's default generator.
    """

    def __init__(self, embedding_dim: int, num_classes: int, sub_centers: int = 1) -> None:
        super().__init__()
        self.sub_centers = sub_centers
        self.weight_CD = nn.Parameter(torch.empty(num_classes * sub_centers, embedding_dim))
        nn.init.normal_(self.weight_CD, std=_WEIGHT_STD)

    def forward(self, embedding_BD: Tensor) -> Tensor:
        """Cosines (B, C) in [-1, 1] up to rounding, in fp32 (fp64 if either side is fp64).

        A vector shorter than 1e-6 counts as that long: its cosines are small, never NaN.
        """
        return self.with_lengths(embedding_BD)[0]

    def with_lengths(self, embedding_BD: Tensor) -> tuple[Tensor, Tensor]:
        """The cosines, and the lengths (C K,) of the centres, with gradients in the same pass."""
        with torch.autocast(embedding_BD.device.type, enabled=False):
            dtype = torch.promote_types(embedding_BD.dtype, self.weight_CD.dtype)
            dtype = torch.promote_types(dtype, torch.float32)
            x_BD = functional.normalize(embedding_BD.to(dtype), eps=SMALLEST_NORM)
            cos_BC: Tensor
            length_C: Tensor
            cos_BC, length_C = _Cosines.apply(x_BD, self.weight_CD.to(dtype))  # type: ignore[no-untyped-call]
            if self.sub_centers > 1:
                cos_BC = cos_BC.view(len(cos_BC), -1, self.sub_centers).max(dim=2).values
            return cos_BC, length_C


class _Cosines(Function):
    """Cosines (B, M) of normalised embeddings (B, D) with centres (M, D), and these' lengths."""

    @staticmethod
    def forward(ctx: FunctionCtx, x_BD: Tensor, w_MD: Tensor) -> tuple[Tensor, Tensor]:
        length_M = torch.linalg.vector_norm(w_MD, dim=1)
        ctx.save_for_backward(x_BD, w_MD, length_M)
        return torch.mm(x_BD, w_MD.T).div_(length_M.clamp_min(SMALLEST_NORM)), length_M

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_BM: Tensor, grad_length_M: Tensor
    ) -> tuple[Tensor, Tensor]:
        x_BD, w_MD, length_M = ctx.saved_tensors  # type: ignore[attr-defined]
        scaled_BM = grad_BM / length_M.clamp_min(SMALLEST_NORM)
        grad_MD = torch.empty_like(w_MD)
        for start in range(0, len(w_MD), _ROWS):
            rows = slice(start, start + _ROWS)
            grad_MD[rows] = by_centres(
                scaled_BM[:, rows], x_BD, w_MD[rows], length_M[rows], grad_length_M[rows]
            )
        return scaled_BM @ w_MD, grad_MD


def by_centres(
    scaled_BM: Tensor,
    x_BD: Tensor,
    w_MD: Tensor,
    length_M: Tensor,
    grad_length_M: Tensor | None = None,
) -> Tensor:
    """Gradient (M, D) by the centres of sum(grad * cos), cos = x w / max(|w|, 1e-6).

    Args:
        scaled_BM: the gradient by the cosines, divided by that length.
        x_BD: normalised embeddings.
        w_MD: centres.
        length_M: |w|.
        grad_length_M: a gradient by |w| itself; None: there is none.
    """
    grad_MD = torch.mm(scaled_BM.T, x_BD)
    share_M = torch.linalg.vecdot(grad_MD, w_MD).div_(length_M.square())
    share_M.masked_fill_(length_M < SMALLEST_NORM, 0.0)  # there the length is a constant
    if grad_length_M is not None:
        share_M -= grad_length_M / length_M.clamp_min(torch.finfo(length_M.dtype).tiny)
    return grad_MD.addcmul_(w_MD, share_M.unsqueeze(1), value=-1.0)
