"""UniFace and UniTSFace: one threshold b between all positive and all negative similarities.

Sums of softplus over the classes, with a learned b; UniTSFace adds the same against a memory of
features. Between the cosine classifier and the optimizer. Shapes: B batch, C classes, D embedding
dimension.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lfs_ray.losses.contract import ClassifierLoss, Seen, softplus
from lfs_ray.losses.margin import am_target
from lfs_ray.losses.options import Number, Switch
from lfs_ray.losses.spec import Given, HeadSize, LossSpec
from lfs_ray.losses.split import Negatives, at_least_fp32, split

_SMALLEST_NORM = 1e-6


class UniFace(ClassifierLoss):
    """One learned threshold between positives and negatives (Zhou et al. 2023, UniFace eq. 9-12).

    b starts at ln(10 C) and is a parameter in float64.

    Formula:
        L = softplus(-(s (c_y - m) - b)) + l sum over j != y of softplus(s c_j - b)

    Others differ:
        The authors' code clamps both arguments to [-s, s], which takes the gradient from the
        hardest positives (at 93,000 classes those with c_y below about -0.39), and keeps b in
        float32: option `clamp` does the former. It also samples negatives; here all count.
    """

    sums = "softplus"

    def __init__(self, scale: float, margin: float, weight: float, bias: float) -> None:
        super().__init__(scale)
        self.margin = margin
        self.weight = weight
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float64))

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) from the target cosine (B,), with the threshold."""
        return self.scale * am_target(cos_y_B, self.margin) - self.bias.to(cos_y_B.dtype)

    def offset(self) -> Tensor | None:
        """-b, added to every negative's logit."""
        return -self.bias

    def reduction(self, target_B: Tensor, others_B: Tensor, seen: Seen) -> Tensor:
        """Loss (B,) from the target logit and the sum of the negatives' softplus, both (B,)."""
        return softplus(-target_B) + self.weight * others_B


class ClampedUniFace(UniFace):
    """UniFace with both arguments clamped to [-s, s], for parity with its authors' code."""

    plain_negatives = False
    shardable = False

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,), clamped."""
        return super().target(cos_y_B, seen).clamp(-self.scale, self.scale)

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Logits (B, J) of J of the other classes with the threshold, clamped."""
        logits_BJ = self.scale * cos_BJ - self.bias.to(cos_BJ.dtype)
        return logits_BJ.clamp(-self.scale, self.scale)

    def offset(self) -> None:
        """The clamped logits hold the threshold already."""
        return None


class UniTsFace(ClassifierLoss):
    """AM-Softmax, and UniFace's form against a memory of features (Li et al. 2023, UniTSFace).

    The memory holds the last embedding of each class as it came, normalised when used; it is
    written after the loss, in training only, and has no gradient. The second term joins once an
    epoch's images were seen; then b is set, once, to the batch mean of
    logsumexp over j != y of s cos(x_i, M_j), and is learned from there on. All of this is state.
    A class that wasn't seen yet has cosine 0.

    Formula:
        z_y = s (c_y - m); z_j = s c_j; cross-entropy, plus
        softplus(-(s (cos(x, M_y) - m2) - b)) + sum over j != y of softplus(s cos(x, M_j) - b)

    Others differ:
        The authors' code clamps the arguments of the second term to [-s, s] and keeps b in
        float32.
    """

    needs = frozenset({"embeddings"})
    shardable = False
    memory_CD: Tensor
    num_seen: Tensor
    started: Tensor

    def __init__(self, scale: float, margin: float, memory_margin: float, size: HeadSize) -> None:
        super().__init__(scale)
        self.margin = margin
        self.memory_margin = memory_margin
        self.epoch_images = size.epoch_images
        self.bias = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.register_buffer("memory_CD", torch.zeros(size.num_classes, size.embedding_dim))
        self.register_buffer("num_seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def target(self, cos_y_B: Tensor, seen: Seen) -> Tensor:
        """Target logit (B,) of the first term from the target cosine (B,)."""
        return self.scale * am_target(cos_y_B, self.margin)

    def begin(self, cos_y_B: Tensor, seen: Seen) -> None:
        """Count images; set the threshold with the first batch of the second epoch."""
        if self.num_seen >= self.epoch_images and not self.started:
            plain = Negatives(scale=self.scale)
            _, lse_B = split(self.memory_cosines(seen), seen.labels_B, plain)
            self.bias.copy_(lse_B.mean())
            self.started.fill_(True)
        self.num_seen += len(seen.labels_B)

    def penalty(self, seen: Seen) -> Tensor | None:
        """The second term (B,), from the second epoch on; then the memory is written."""
        loss_B = self.against_memory(seen) if self.started else None
        if self.training:
            self.remember(seen)
        return loss_B

    def against_memory(self, seen: Seen) -> Tensor:
        """The second term (B,)."""
        negatives = Negatives(scale=self.scale, sums="softplus")
        cos_BC = self.memory_cosines(seen)
        cos_y_B, others_B = split(cos_BC, seen.labels_B, negatives, -self.bias)
        logit_B = self.scale * am_target(cos_y_B, self.memory_margin)
        return softplus(self.bias.to(logit_B.dtype) - logit_B) + others_B

    def memory_cosines(self, seen: Seen) -> Tensor:
        """Cosines (B, C) of the embeddings with the last embedding of each class."""
        assert seen.embedding_BD is not None
        x_BD = at_least_fp32(seen.embedding_BD)
        memory_CD = functional.normalize(self.memory_CD.to(x_BD.dtype), eps=_SMALLEST_NORM)
        return functional.linear(functional.normalize(x_BD, eps=_SMALLEST_NORM), memory_CD)

    def remember(self, seen: Seen) -> None:
        """Write the batch's embeddings; of a class that occurs twice, the last."""
        assert seen.embedding_BD is not None
        y_B = seen.labels_B
        followed_B = (y_B[:, None] == y_B[None, :]).triu(diagonal=1).any(dim=1)
        x_BD = seen.embedding_BD.detach().to(self.memory_CD.dtype)
        self.memory_CD[y_B[~followed_B]] = x_BD[~followed_B]


def _uniface(given: Given) -> ClassifierLoss:
    kind = ClampedUniFace if given.flag("clamp") else UniFace
    bias = math.log(10.0 * given.sized().num_classes)
    return kind(given.scale, given.number("margin"), given.number("weight"), bias)


def _unitsface(given: Given) -> ClassifierLoss:
    margin, memory_margin = given.number("margin"), given.number("memory_margin")
    return UniTsFace(given.scale, margin, memory_margin, given.sized())


def _margin(default: float, doc: str) -> Number:
    return Number(default=default, low=0.0, high=2.0, open_high=True, doc=doc)


SPECS: dict[str, LossSpec] = {
    "uniface": LossSpec(
        loss=UniFace,
        make=_uniface,
        scale=64.0,
        options={
            "margin": _margin(0.4, "m, cosine units"),
            "weight": Number(
                default=1.0, low=0.0, high=1e6, open_low=True, doc="l, weight of the negatives"
            ),
            "clamp": Switch(
                default=False, doc="clamp both arguments to [-s, s], as the authors' code"
            ),
        },
        sized=True,
    ),
    "unitsface": LossSpec(
        loss=UniTsFace,
        make=_unitsface,
        scale=64.0,
        options={
            "margin": _margin(0.4, "m, cosine units, against the class centres"),
            "memory_margin": _margin(0.1, "m2, cosine units, against the memory"),
        },
        sized=True,
    ),
}
