"""Classifier and loss over chunks of classes: one chunk of logits at a time, whatever C is.

The other way of head.py, `model.classifier = "chunked"`: the dense numbers to rounding. Forward
goes over the chunks and keeps two numbers a sample, target cosine and sum over the negatives;
backward computes each chunk's cosines again: a third more arithmetic in place of (B, C) buffers.
Shapes: B batch, C classes, J classes of a chunk, K centres a class, M = J K centres of a chunk,
D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from lfs_ray.errors import ConfigError
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.split import Negatives, softplus_sum
from lfs_ray.models.classifier import SMALLEST_NORM, CosineClassifier, by_centres

_NO_TARGET = -2.0
"""What losses with statistics find in place of the target's cosine."""


def chunked_loss(
    classifier: CosineClassifier,
    loss: ClassifierLoss,
    embedding_BD: Tensor,
    seen: Seen,
    *,
    chunk: int,
) -> Tensor:
    """Mean loss of a batch with its penalty, a scalar: loss(classifier(x), labels, seen).

    Args:
        classifier: holds the centres; the gradient of its weights is the one buffer of their size.
        loss: one that is shardable, under which no (B, C) matrix is needed.
        embedding_BD: embeddings before normalisation, fp32 or fp64.
        seen: labels and what the loss `needs`.
        chunk: classes at a time, >= 1.

    Raises:
        ConfigError: the loss isn't shardable.
    """
    if not loss.shardable:
        raise ConfigError(
            f"a chunked classifier needs a loss that goes by chunks of classes, found "
            f"{type(loss).__name__}: use the dense classifier"
        )
    weight_CD = classifier.weight_CD
    dtype = torch.promote_types(embedding_BD.dtype, weight_CD.dtype)
    x_BD = functional.normalize(embedding_BD.to(dtype), eps=SMALLEST_NORM)
    centres = _Centres(weight_CD.detach(), classifier.sub_centers, chunk)
    with torch.no_grad():
        cos_y_B = centres.target_cosines(x_BD, seen.labels_B)
        if loss.has_statistics:
            seen = replace(seen, statistics_BK=_statistics(loss, centres, x_BD, cos_y_B, seen))
    loss.begun(cos_y_B, seen)
    negatives = loss.pieces(cos_y_B, seen)
    cos_y_B, others_B = _ChunkedSplit.apply(  # type: ignore[no-untyped-call]
        x_BD, weight_CD, cos_y_B, seen.labels_B, centres, negatives, loss.offset()
    )
    return loss.averaged(loss.combine(cos_y_B, others_B, seen), seen)


@dataclass(frozen=True, slots=True)
class _Targets:
    """Where the targets of a batch stand in a chunk."""

    columns_B1: Tensor
    """Column of the target; of no meaning where it is in another chunk."""
    here_B1: Tensor

    def put(self, matrix_BJ: Tensor, value: float | Tensor) -> Tensor:
        """The matrix with `value`, one or (B,), in the targets' entries; changes it."""
        if isinstance(value, Tensor):
            value = value.unsqueeze(1)
        kept_B1 = matrix_BJ.gather(1, self.columns_B1)
        return matrix_BJ.scatter_(1, self.columns_B1, torch.where(self.here_B1, value, kept_B1))


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Cosines of a batch to the classes of one chunk, and what their gradient needs."""

    rows: slice
    """Its centres among all."""
    centres_MD: Tensor
    length_M: Tensor
    cos_BM: Tensor
    cos_BJ: Tensor
    nearest_BJ: Tensor | None
    """Which of its K centres gave a class its cosine; None: there is one."""
    targets: _Targets

    def gradients(self, x_BD: Tensor, grad_BJ: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient by the cosines over the centres' lengths (B, M), and by the centres (M, D)."""
        scaled_BM = self._by_centre(grad_BJ).div_(self.length_M.clamp_min(SMALLEST_NORM))
        return scaled_BM, by_centres(scaled_BM, x_BD, self.centres_MD, self.length_M)

    def _by_centre(self, grad_BJ: Tensor) -> Tensor:
        if self.nearest_BJ is None:
            return grad_BJ
        grad_BJK = torch.zeros_like(self.cos_BM).view(*grad_BJ.shape, -1)
        return grad_BJK.scatter_(2, self.nearest_BJ.unsqueeze(2), grad_BJ.unsqueeze(2)).flatten(1)


@dataclass(frozen=True, slots=True)
class _Centres:
    """Centres (C K, D) that are gone over `chunk` classes at a time."""

    weight_CD: Tensor
    sub_centers: int
    chunk: int

    def chunks(self, x_BD: Tensor, labels_B: Tensor) -> Iterator[_Chunk]:
        """Every chunk of classes in order, for normalised embeddings."""
        classes = len(self.weight_CD) // self.sub_centers
        for start in range(0, classes, self.chunk):
            stop = min(start + self.chunk, classes)
            yield self._chunk(x_BD, labels_B, start, stop)

    def target_cosines(self, x_BD: Tensor, labels_B: Tensor) -> Tensor:
        """Cosine (B,) of each normalised embedding to its own class."""
        own = torch.arange(self.sub_centers, device=labels_B.device)
        rows_BK = labels_B.unsqueeze(1) * self.sub_centers + own
        w_BKD = functional.normalize(
            self.weight_CD[rows_BK].to(x_BD.dtype), dim=2, eps=SMALLEST_NORM
        )
        return torch.einsum("bd,bkd->bk", x_BD, w_BKD).amax(dim=1)

    def _chunk(self, x_BD: Tensor, labels_B: Tensor, start: int, stop: int) -> _Chunk:
        rows = slice(start * self.sub_centers, stop * self.sub_centers)
        w_MD = self.weight_CD[rows].to(x_BD.dtype)
        length_M = torch.linalg.vector_norm(w_MD, dim=1)
        cos_BM = torch.mm(x_BD, w_MD.T).div_(length_M.clamp_min(SMALLEST_NORM))
        cos_BJ, nearest_BJ = cos_BM, None
        if self.sub_centers > 1:
            cos_BJ, nearest_BJ = cos_BM.view(len(x_BD), -1, self.sub_centers).max(dim=2)
        columns_B1 = (labels_B - start).unsqueeze(1)
        here_B1 = (columns_B1 >= 0) & (columns_B1 < stop - start)
        targets = _Targets(columns_B1.clamp(0, stop - start - 1), here_B1)
        return _Chunk(rows, w_MD, length_M, cos_BM, cos_BJ, nearest_BJ, targets)


def _statistics(
    loss: ClassifierLoss, centres: _Centres, x_BD: Tensor, cos_y_B: Tensor, seen: Seen
) -> Tensor:
    """The loss's sums over all negatives, in a pass of their own."""
    total_BK: Tensor | None = None
    for chunk in centres.chunks(x_BD, seen.labels_B):
        others_BJ = chunk.targets.put(chunk.cos_BJ, _NO_TARGET)
        sums_BK = loss.statistics(others_BJ, cos_y_B)
        total_BK = sums_BK if total_BK is None else total_BK + sums_BK
    assert total_BK is not None
    return total_BK


class _ChunkedSplit(Function):
    """split.split from embeddings and centres; saves these and the sums, two vectors (B,)."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x_BD: Tensor,
        weight_CD: Tensor,
        cos_y_B: Tensor,
        labels_B: Tensor,
        centres: _Centres,
        negatives: Negatives,
        offset: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        empty = 0.0 if negatives.sums == "softplus" else -torch.inf
        sum_B = torch.full_like(cos_y_B, empty)
        for chunk in centres.chunks(x_BD, labels_B):
            logits_BJ = negatives.of(chunk.cos_BJ, offset)
            chunk.targets.put(logits_BJ, -torch.inf)
            if negatives.sums == "softplus":
                sum_B += softplus_sum(logits_BJ)
            else:
                sum_B = torch.logaddexp(sum_B, _log_sum_exp(logits_BJ))
        saved = () if offset is None else (offset,)
        ctx.save_for_backward(x_BD, weight_CD, labels_B, sum_B, *saved)
        ctx.centres, ctx.negatives = centres, negatives  # type: ignore[attr-defined]
        return cos_y_B.clone(), sum_B

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_y_B: Tensor, grad_sum_B: Tensor
    ) -> tuple[Tensor | None, ...]:
        x_BD, weight_CD, labels_B, sum_B, *saved = ctx.saved_tensors  # type: ignore[attr-defined]
        offset = saved[0] if saved else None
        centres: _Centres = ctx.centres  # type: ignore[attr-defined]
        negatives: Negatives = ctx.negatives  # type: ignore[attr-defined]
        grad_x_BD, grad_CD = torch.zeros_like(x_BD), torch.empty_like(weight_CD)
        shares_B = torch.zeros_like(sum_B)
        for chunk in centres.chunks(x_BD, labels_B):
            logits_BJ = chunk.targets.put(negatives.of(chunk.cos_BJ, offset), -torch.inf)
            if negatives.sums == "softplus":
                shares_BJ = logits_BJ.sigmoid_()
            else:
                shares_BJ = logits_BJ.sub_(sum_B.unsqueeze(1)).exp_()
            if offset is not None:
                shares_B += shares_BJ.sum(dim=1)
            grad_BJ = negatives.backward(chunk.cos_BJ, shares_BJ, grad_sum_B)
            chunk.targets.put(grad_BJ, grad_y_B)
            scaled_BM, grad_CD[chunk.rows] = chunk.gradients(x_BD, grad_BJ)
            grad_x_BD.addmm_(scaled_BM, chunk.centres_MD)
        grad_offset = None if offset is None else (shares_B * grad_sum_B).sum()
        return grad_x_BD, grad_CD, None, None, None, None, grad_offset


def _log_sum_exp(logits_BJ: Tensor) -> Tensor:
    """Log-sum-exp (B,) over a chunk, -inf where all are; destroys `logits_BJ`."""
    top_B = logits_BJ.amax(dim=1)
    top_B.masked_fill_(top_B == -torch.inf, 0.0)
    return logits_BJ.sub_(top_B.unsqueeze(1)).exp_().sum(dim=1).log_().add_(top_B)
