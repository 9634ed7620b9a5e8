"""What a classifier loss is: three parts, called alike by dense, chunked and sharded classifiers.

    target(cos_y, seen)              target cosine -> target logit
    negatives(cos_j, cos_y, seen)    any piece of the other cosines -> logits
    reduction(target, others, seen)  target logit and the negatives' sum -> loss per sample

The negatives' sum is their log-sum-exp, or a sum of softplus where `sums = "softplus"`. Before the
parts, `begin` updates running state from the batch; `statistics` gives it sums over the negatives
where it needs any. A dense classifier calls forward. One that holds classes in pieces gathers the
target cosines, adds up the negatives piece by piece and calls `combine`: the loss is the same.
Everything is computed in float32 at least (float64 stays), in the log domain, whatever the
autocast. Shapes: B batch, C classes, J a piece of them, D embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lfs_ray.losses.split import Negatives, at_least_fp32, split


@dataclass(frozen=True, slots=True)
class Seen:
    """What the parts may look at beside cosines; what `needs` doesn't ask for is None."""

    labels_B: Tensor
    """Classes, int64 in [0, C)."""
    norms_B: Tensor | None = None
    """Lengths of the embeddings, with gradient ("norms")."""
    weight_norms_C: Tensor | None = None
    """Lengths of the class centres, with gradient ("weight_norms"); of a piece: (J,)."""
    embedding_BD: Tensor | None = None
    """Embeddings before normalisation, with gradient ("embeddings")."""
    statistics_BK: Tensor | None = None
    """Sums over the negatives, without gradient, of losses that have `statistics`."""


class ClassifierLoss(nn.Module):
    """Cross-entropy over scaled cosines, softplus(lse - z_y); children change the parts.

    Parameters and persistent buffers are state that belongs in checkpoints and travels with the
    parent; constants such as a margin or theta's shifts are neither. State moves in training mode
    only.

    Attributes:
        scale: s > 0, the factor from cosine to logit.
        focal_gamma: each sample's loss is multiplied by (1 - p_y)^gamma, p_y = exp(-loss) (Lin et
            al. 2017, eq. 4); 0: plain.
        duplicate_identity_weight: multiplies a sample's gradient, not its loss, by the number of
            times its class occurs in the batch, as the released code of Search-Softmax does.
        sub_centers: centres a class; the cosine of a class is that of its nearest centre.
        needs: what forward needs beyond cosines and labels: any of "norms", "weight_norms",
            "embeddings".
        shardable: whether the three parts suffice when classes lie in several pieces.
        plain_negatives: whether negatives() is only s * cos_j; then one fused pass does it.
        sums: how the negatives are summed.
        has_statistics: whether statistics() must be called before the parts.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    shardable: ClassVar[bool] = True
    plain_negatives: ClassVar[bool] = True
    sums: ClassVar[Literal["exp", "softplus"]] = "exp"
    has_statistics: ClassVar[bool] = False

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.focal_gamma = 0.0
        self.duplicate_identity_weight = False
        self.sub_centers = 1

    # ---- before the parts

    def statistics(self, cos_BJ: Tensor, cos_y_B: Tensor) -> Tensor:
        """Sums (B, K) over a piece of the negatives; the target's own entry holds -2."""
        raise TypeError(f"{type(self).__name__} has no statistics")

    def begin(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Update running state from a training batch; called once a batch, without gradient."""

    # ---- the parts

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,); called once a batch."""
        return self.scale * cos_y_B

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes, a new tensor, given the target cosine (B,)."""
        return self.scale * cos_BJ

    def slopes(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor | None:
        """Derivative (B, J), a new tensor, of each negative's logit by its own cosine.

        With it no graph over all classes is kept, and nothing else in negatives() has a gradient.
        None: autograd differentiates negatives(), which then can't be called piece by piece.
        """
        return None

    def offset(self) -> Tensor | None:
        """A learned scalar that is added to every negative's logit; None: there is none."""
        return None

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit and the sum over the negatives, both (B,)."""
        return softplus(others_B - target_B)

    def penalty(self, seen: Seen) -> Tensor | None:
        """Terms (B,) or a scalar that are added to the loss, focal factor or not; None: none."""
        return None

    # ---- putting them together

    def combine(self, cos_y_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,), without penalty, from the target cosine and the sum over the negatives."""
        loss_B = self.reduction(self.target(cos_y_B, seen), others_B, seen)
        if self.focal_gamma > 0.0:
            loss_B = focal(loss_B, self.focal_gamma)
        if self.duplicate_identity_weight:
            times_B = (seen.labels_B[:, None] == seen.labels_B[None, :]).sum(dim=1)
            loss_B = times_B * loss_B - ((times_B - 1) * loss_B).detach()
        return loss_B

    def begun(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Call begin where the module is in training mode."""
        if self.training:
            with torch.no_grad():
                self.begin(cos_y_B.detach(), seen)

    def per_sample(self, cos_BC: Tensor, labels_B: Tensor, seen: Seen | None = None) -> Tensor:
        """Loss of each sample, (B,), without penalty: see forward."""
        seen = Seen(labels_B) if seen is None else seen
        cos_BC = at_least_fp32(cos_BC)
        with torch.autocast(cos_BC.device.type, enabled=False):
            cos_y_B = cos_BC.gather(1, labels_B.unsqueeze(1)).squeeze(1)
            if self.has_statistics:
                with torch.no_grad():
                    others_BC = cos_BC.scatter(1, labels_B.unsqueeze(1), -2.0)
                    seen = replace(seen, statistics_BK=self.statistics(others_BC, cos_y_B))
            self.begun(cos_y_B, seen)
            cos_y_B, others_B = self._split(cos_BC, cos_y_B, labels_B, seen)
            return self.combine(cos_y_B, others_B, seen)

    def pieces(self, cos_y_B: Tensor, seen: Seen) -> Negatives:
        """The negatives as a pass over the classes calls them: logits, slopes, kind of sum."""
        cos_y_B = cos_y_B.detach()
        if self.plain_negatives:
            return Negatives(scale=self.scale, sums=self.sums)
        return Negatives(
            logits=lambda cos_BJ: self.negatives(cos_BJ, cos_y_B, seen),
            slopes=lambda cos_BJ: self.slopes(cos_BJ, cos_y_B, seen),
            sums=self.sums,
        )

    def _split(
        self, cos_BC: Tensor, cos_y_B: Tensor, labels_B: Tensor, seen: Seen
    ) -> tuple[Tensor, Tensor]:
        if self.plain_negatives or type(self).slopes is not ClassifierLoss.slopes:
            return split(cos_BC, labels_B, self.pieces(cos_y_B, seen), self.offset())
        logits_BC = self.negatives(cos_BC, cos_y_B, seen)
        plain = Negatives(scale=1.0, sums=self.sums)
        return cos_y_B, split(logits_BC, labels_B, plain, self.offset())[1]

    def forward(self, cos_BC: Tensor, labels_B: Tensor, seen: Seen | None = None) -> Tensor:
        """Mean loss of the batch with its penalty, a scalar in fp32 (fp64 for fp64 cosines).

        Args:
            cos_BC: cosines in [-1, 1] (rounding beyond does no harm), C >= 2.
            labels_B: int64 in [0, C).
            seen: labels and what `needs` asks for; None where it asks for nothing.
        """
        return self.averaged(self.per_sample(cos_BC, labels_B, seen), seen)

    def averaged(self, loss_B: Tensor, seen: Seen | None) -> Tensor:
        """The mean of the samples' losses with the penalty."""
        with torch.autocast(loss_B.device.type, enabled=False):
            penalty = None if seen is None else self.penalty(seen)
            return loss_B.mean() if penalty is None else loss_B.mean() + penalty.mean()


def softplus(gap_B: Tensor) -> Tensor:
    """ln(1 + e^gap), exact to rounding everywhere (functional.softplus is cut off above 20)."""
    return -functional.logsigmoid(-gap_B)


def focal(loss_B: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma loss with p = exp(-loss), differentiated through both (Lin et al. 2017).

    The floor keeps the power's gradient finite where p rounds to 1.
    face.evoLVe takes the power of the batch's mean loss instead, which is another loss.
    """
    floor = torch.finfo(loss_B.dtype).tiny
    missed_B = (-torch.expm1(-loss_B)).clamp_min(floor)
    return missed_B**gamma * loss_B
