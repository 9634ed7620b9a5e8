"""The cosine classifier: embeddings (B, D) -> cosines to C class centres (B, C).

Between a backbone and a loss; it exists during training only. Shapes: B batch, C classes,
D embedding dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_WEIGHT_STD = 0.01
_SMALLEST_NORM = 1e-6


class CosineClassifier(nn.Module):
    """One centre per class; both sides are normalised, and no autocast reaches the cosine.

    Args:
        embedding_dim: D.
        num_classes: C >= 2.

    The centres start as N(0, 0.01^2), drawn from torch's default generator.
    """

    def __init__(self, embedding_dim: int, num_classes: int) -> None:
        super().__init__()
        self.weight_CD = nn.Parameter(torch.empty(num_classes, embedding_dim))
        nn.init.normal_(self.weight_CD, std=_WEIGHT_STD)

    def forward(self, embedding_BD: Tensor) -> Tensor:
        """Cosines (B, C) in [-1, 1] up to rounding, in fp32 (fp64 if either side is fp64).

        A vector shorter than 1e-6 counts as that long: its cosines are small, never NaN.
        """
        with torch.autocast(embedding_BD.device.type, enabled=False):
            dtype = torch.promote_types(embedding_BD.dtype, self.weight_CD.dtype)
            dtype = torch.promote_types(dtype, torch.float32)
            x_BD = functional.normalize(embedding_BD.to(dtype), eps=_SMALLEST_NORM)
            w_CD = functional.normalize(self.weight_CD.to(dtype), eps=_SMALLEST_NORM)
            return functional.linear(x_BD, w_CD)
