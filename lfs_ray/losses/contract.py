"""What a classifier loss is: three parts, called alike by dense, chunked and sharded classifiers.

    target(cos_y)              target cosine -> target logit
    negatives(cos_j, cos_y)    any piece of the other cosines -> logits
    reduction(target, lse)     target logit and the negatives' log-sum-exp -> loss per sample

A dense classifier calls forward. One that holds classes in pieces adds up the log-sum-exp of
negatives() over its pieces and calls the same target() and reduction(): the loss is the same.
Everything is computed in float32 at least (float64 stays), in the log domain, whatever the
autocast. Shapes: B batch, C classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lfs_ray.losses.split import at_least_fp32, split


class ClassifierLoss(nn.Module):
    """Cross-entropy over scaled cosines, softplus(lse - z_y); children change the parts.

    Parameters and persistent buffers are state that belongs in checkpoints and travels with the
    parent; constants such as a margin or theta's shifts are neither.

    Attributes:
        scale: s > 0, the factor from cosine to logit.
        needs: what forward needs beyond cosines and labels: any of "norms", "raw_weights",
            "embeddings", "memory", "sub_centers". Empty for the losses of this room's first set.
        shardable: whether the three parts suffice when classes lie on several devices.
        plain_negatives: whether negatives() is only s * cos_j; then one fused pass does it.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    shardable: ClassVar[bool] = True
    plain_negatives: ClassVar[bool] = True

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def target(self, cos_y_B: Tensor) -> Tensor:
        """Target logit (B,) from the target cosine (B,)."""
        return self.scale * cos_y_B

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor) -> Tensor:
        """Logits (B, J) of J of the other classes, given the target cosine (B,)."""
        return self.scale * cos_BJ

    def reduction(self, target_B: Tensor, lse_B: Tensor) -> Tensor:
        """Loss (B,) from the target logit and the log-sum-exp of the negatives, both (B,)."""
        return softplus(lse_B - target_B)

    def per_sample(self, cos_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Loss of each sample, (B,): see forward."""
        cos_BC = at_least_fp32(cos_BC)
        with torch.autocast(cos_BC.device.type, enabled=False):
            if self.plain_negatives:
                cos_y_B, lse_B = split(cos_BC, labels_B, self.scale)
            else:
                cos_y_B = cos_BC.gather(1, labels_B.unsqueeze(1)).squeeze(1)
                _, lse_B = split(self.negatives(cos_BC, cos_y_B), labels_B, 1.0)
            return self.reduction(self.target(cos_y_B), lse_B)

    def forward(self, cos_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Mean loss of the batch, a scalar in fp32 (fp64 for fp64 cosines).

        Args:
            cos_BC: cosines in [-1, 1] (rounding beyond does no harm), C >= 2.
            labels_B: int64 in [0, C).
        """
        return self.per_sample(cos_BC, labels_B).mean()


def softplus(gap_B: Tensor) -> Tensor:
    """ln(1 + e^gap), exact to rounding everywhere (functional.softplus is cut off above 20)."""
    return -functional.logsigmoid(-gap_B)
