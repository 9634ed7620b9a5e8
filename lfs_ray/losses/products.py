"""Inner products from cosines and lengths, with cheap gradients: for losses of raw weights.

x . W_j = |x| |W_j| cos is exact, so these losses too start from the classifier's cosines.
Shapes: B batch, C classes, J a piece of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable


class _Products(Function):
    """Saves its inputs and nothing else of (B, J); the lengths' gradients are matrix products."""

    @staticmethod
    def forward(ctx: FunctionCtx, cos_BJ: Tensor, rows_B: Tensor, columns_J: Tensor) -> Tensor:
        ctx.save_for_backward(cos_BJ, rows_B, columns_J)
        return (cos_BJ * rows_B.unsqueeze(1)).mul_(columns_J)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_BJ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cos_BJ, rows_B, columns_J = ctx.saved_tensors  # type: ignore[attr-defined]
        matrix_BJ = grad_BJ * cos_BJ
        by_row_B, by_column_J = matrix_BJ @ columns_J, rows_B @ matrix_BJ
        torch.mul(grad_BJ, rows_B.unsqueeze(1), out=matrix_BJ)
        return matrix_BJ.mul_(columns_J), by_row_B, by_column_J


class _Rows(Function):
    """The same with columns of length 1."""

    @staticmethod
    def forward(ctx: FunctionCtx, cos_BJ: Tensor, rows_B: Tensor) -> Tensor:
        ctx.save_for_backward(cos_BJ, rows_B)
        return cos_BJ * rows_B.unsqueeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_BJ: Tensor) -> tuple[Tensor, Tensor]:
        cos_BJ, rows_B = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad_BJ * rows_B.unsqueeze(1), torch.linalg.vecdot(grad_BJ, cos_BJ)


def products(cos_BJ: Tensor, rows_B: Tensor, columns_J: Tensor | None) -> Tensor:
    """New tensor (B, J): rows_i columns_j cos_ij.

    Args:
        cos_BJ: cosines, fp32 or fp64.
        rows_B: lengths of the embeddings, (B,).
        columns_J: lengths of the centres, (J,); None: all are 1.
    """
    rows_B = rows_B.to(cos_BJ)
    made: Tensor
    if columns_J is None:
        made = _Rows.apply(cos_BJ, rows_B)  # type: ignore[no-untyped-call]
    else:
        made = _Products.apply(cos_BJ, rows_B, columns_J.to(cos_BJ))  # type: ignore[no-untyped-call]
    return made


def given(lengths: Tensor | None) -> Tensor:
    """Lengths that a loss declares in `needs`; forgetting them is a mistake of the caller's code.

    Raises:
        TypeError: they weren't handed over.
    """
    if lengths is None:
        raise TypeError("this loss needs lengths beside cosines: pass Seen with what it `needs`")
    return lengths
