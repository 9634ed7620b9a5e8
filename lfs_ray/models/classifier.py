"""The cosine classifier: embeddings (B, D) -> cosines to C class centres (B, C).

Between a backbone and a loss; it exists during training only. Shapes: B batch, C classes,
D embedding dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_WEIGHT_STD = 0.01
SMALLEST_NORM = 1e-6
"""Least length of a vector that is normalised."""


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
        with torch.autocast(embedding_BD.device.type, enabled=False):
            dtype = torch.promote_types(embedding_BD.dtype, self.weight_CD.dtype)
            dtype = torch.promote_types(dtype, torch.float32)
            x_BD = functional.normalize(embedding_BD.to(dtype), eps=SMALLEST_NORM)
            w_CD = functional.normalize(self.weight_CD.to(dtype), eps=SMALLEST_NORM)
            cos_BC = functional.linear(x_BD, w_CD)
            if self.sub_centers == 1:
                return cos_BC
            return cos_BC.view(len(cos_BC), -1, self.sub_centers).max(dim=2).values
