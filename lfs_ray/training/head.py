"""Embeddings -> the trial's loss: the classifier's cosines and what else the loss looks at."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.split import at_least_fp32
from lfs_ray.models.classifier import CosineClassifier
from lfs_ray.training.chunked_head import chunked_loss


def head_loss(
    classifier: CosineClassifier,
    loss: ClassifierLoss,
    embedding_BD: Tensor,
    labels_B: Tensor,
    *,
    chunk: int | None = None,
) -> Tensor:
    """Mean loss of a batch: a scalar in fp32 at least, whatever the autocast.

    Args:
        classifier: gives the cosines (B, C).
        loss: declares in `needs` what it looks at beside them.
        embedding_BD: embeddings before normalisation.
        labels_B: int64 in [0, C).
        chunk: classes at a time, for a loss that is shardable; None: all at once.
    """
    with torch.autocast(embedding_BD.device.type, enabled=False):
        embedding_BD = at_least_fp32(embedding_BD)
        needs = loss.needs
        seen = Seen(
            labels_B,
            norms_B=embedding_BD.norm(dim=1) if "norms" in needs else None,
            embedding_BD=embedding_BD if "embeddings" in needs else None,
        )
        if chunk is not None:
            return chunked_loss(classifier, loss, embedding_BD, seen, chunk=chunk)
        cos_BC, length_C = classifier.with_lengths(embedding_BD)
        if "weight_norms" in needs:
            seen = replace(seen, weight_norms_C=length_C)
        value: Tensor = loss(cos_BC, labels_B, seen)
        return value
