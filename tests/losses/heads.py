"""Embeddings, centres and labels as a loss looks at them, for tests of any loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.spec import HeadSize


class Head(NamedTuple):
    """Embeddings (B, D), class centres (C, D), labels (B,)."""

    x: Tensor
    w: Tensor
    y: Tensor


def golden_head() -> Head:
    """The closed-form batch on which the golden values stand: (6, 8), (6, 8), float64."""
    i = torch.arange(6, dtype=torch.float64)[:, None]
    k = torch.arange(8, dtype=torch.float64)
    x = torch.sin(1 + 1.3 * i + 0.7 * k + 0.11 * i * k) * (5 + 4 * i)
    w = torch.cos(0.5 + 0.9 * i + 1.1 * k + 0.07 * i * k)
    x[4] = -12 * w[0] + 0.3 * x[4]
    x[5] = 12 * w[2] + 0.2 * x[5]
    return Head(x, w, torch.tensor([3, 5, 4, 3, 0, 2]))


def cosines(head: Head, sub_centers: int = 1) -> Tensor:
    """Cosines (B, C); further sub-centres are the centres rolled along the features."""
    x = functional.normalize(head.x)
    w_K = [functional.normalize(head.w.roll(k, dims=1)) for k in range(sub_centers)]
    return torch.stack([x @ w.T for w in w_K]).amax(dim=0)


def look(loss: ClassifierLoss, head: Head) -> tuple[Tensor, Seen]:
    """Cosines and what the loss declares in `needs`, with gradients to embeddings and centres."""
    seen = Seen(
        head.y,
        norms_B=head.x.norm(dim=1) if "norms" in loss.needs else None,
        weight_norms_C=head.w.norm(dim=1) if "weight_norms" in loss.needs else None,
        embedding_BD=head.x if "embeddings" in loss.needs else None,
    )
    return cosines(head, loss.sub_centers), seen


def seen_beside(loss: ClassifierLoss, cos_BC: Tensor, labels_B: Tensor) -> Seen:
    """What the loss needs beside given cosines: usual lengths, no gradient."""
    batch, classes = cos_BC.shape
    lengths = torch.linspace(15.0, 40.0, batch, dtype=cos_BC.dtype)
    embedding_BD = torch.sin(torch.arange(batch * 8.0)).reshape(batch, 8).to(cos_BC.dtype)
    return Seen(
        labels_B,
        norms_B=lengths if "norms" in loss.needs else None,
        weight_norms_C=torch.ones(classes).to(cos_BC) if "weight_norms" in loss.needs else None,
        embedding_BD=embedding_BD if "embeddings" in loss.needs else None,
    )


def make(name: str, num_classes: int, **given: Any) -> ClassifierLoss:
    """The loss with the sizes of a test, its random state seeded."""
    size = HeadSize(num_classes=num_classes, embedding_dim=8, epoch_images=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_loss(name, size=size, **given)


def per_sample(loss: ClassifierLoss, cos_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Loss (B,) of given cosines, random draws seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return loss.per_sample(cos_BC, labels_B, seen_beside(loss, cos_BC, labels_B))
