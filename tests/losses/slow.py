"""What slow references share: one sample at a time, plain Python floats, no tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest
import torch
from heads import per_sample
from torch import Tensor

from lfs_ray.losses.contract import ClassifierLoss

Reference = Callable[[float, list[float]], float]
"""(target cosine, the others') -> loss."""


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def cross_entropy(z_y: float, z_others: Iterable[float]) -> float:
    others = list(z_others)
    top = max(z_y, *others)
    total = sum(math.exp(z - top) for z in [z_y, *others])
    return top + math.log(total) - z_y


def batch(seed: int, size: int = 24, classes: int = 9) -> tuple[Tensor, Tensor]:
    """Cosines of easy and hard samples of both signs: spreads and target cosines differ widely."""
    generator = torch.Generator().manual_seed(seed)
    unit_BC = 2.0 * torch.rand(size, classes, generator=generator, dtype=torch.float64) - 1.0
    labels_B = torch.randint(classes, (size,), generator=generator)
    cos_BC = unit_BC * torch.linspace(0.05, 0.95, size, dtype=torch.float64)[:, None]
    target_B = torch.linspace(-0.95, 0.97, size, dtype=torch.float64)
    order = torch.randperm(size, generator=generator)
    return cos_BC.scatter(1, labels_B[:, None], target_B[order][:, None]), labels_B


def agree(loss: ClassifierLoss, reference: Reference, seeds: Iterable[int] = range(4)) -> None:
    """Assert that a loss in evaluation mode equals its reference, sample by sample."""
    loss.eval()
    for seed in seeds:
        cos_BC, labels_B = batch(seed)
        expected = []
        for row, label in zip(cos_BC.tolist(), labels_B.tolist(), strict=True):
            expected.append(reference(row[label], row[:label] + row[label + 1 :]))
        found = per_sample(loss, cos_BC, labels_B).tolist()
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-12)
