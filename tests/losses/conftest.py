"""The closed-form batch on which the golden values of the losses stand."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor


class GoldenBatch(NamedTuple):
    """Embeddings (6, 8), class centres (6, 8), labels (6,): float64, no random numbers."""

    x: Tensor
    w: Tensor
    y: Tensor


@pytest.fixture
def golden_batch() -> GoldenBatch:
    i = torch.arange(6, dtype=torch.float64)[:, None]
    k = torch.arange(8, dtype=torch.float64)
    x = torch.sin(1 + 1.3 * i + 0.7 * k + 0.11 * i * k) * (5 + 4 * i)
    w = torch.cos(0.5 + 0.9 * i + 1.1 * k + 0.07 * i * k)
    x[4] = -12 * w[0] + 0.3 * x[4]
    x[5] = 12 * w[2] + 0.2 * x[5]
    return GoldenBatch(x, w, torch.tensor([3, 5, 4, 3, 0, 2]))
