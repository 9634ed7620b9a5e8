"""Embeddings against centres in plain Python floats, for losses that look at lengths."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from heads import Head
from slow import cross_entropy


class Sample(NamedTuple):
    """One embedding against all centres."""

    cos: list[float]
    label: int
    norm: float
    weight_norms: list[float]

    def others(self) -> list[int]:
        """The other classes."""
        return [j for j in range(len(self.cos)) if j != self.label]

    def loss(self, logits: list[float], *more: float, target: float | None = None) -> float:
        """Cross-entropy of its logits, of `more` beside them; `target` in place of its own."""
        own = logits[self.label] if target is None else target
        return cross_entropy(own, [*(logits[j] for j in self.others()), *more])


def random_head(seed: int = 0, batch: int = 24, classes: int = 7) -> Head:
    """Easy samples, samples near a wrong centre, samples opposite to their own; lengths vary."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(classes, 5, dtype=torch.float64, generator=generator)
    y = torch.randint(classes, (batch,), generator=generator)
    x = torch.randn(batch, 5, dtype=torch.float64, generator=generator)
    x[: batch // 3] += 4.0 * w[y[: batch // 3]]
    wrong = (y + 1) % classes
    x[batch // 3 : batch // 2] += 3.0 * w[wrong[batch // 3 : batch // 2]]
    x[batch // 2 : 2 * batch // 3] -= 2.0 * w[y[batch // 2 : 2 * batch // 3]]
    lengths = 60.0 * torch.rand(batch, 1, dtype=torch.float64, generator=generator) + 2.0
    return Head(lengths * x / x.norm(dim=1, keepdim=True), w, y)


def samples(head: Head) -> list[Sample]:
    """The batch by loops."""
    weights = head.w.tolist()
    weight_norms = [math.hypot(*w) for w in weights]
    found = []
    for x, label in zip(head.x.tolist(), head.y.tolist(), strict=True):
        norm = math.hypot(*x)
        dots = [sum(a * b for a, b in zip(x, w, strict=True)) for w in weights]
        cos = [dot / norm / length for dot, length in zip(dots, weight_norms, strict=True)]
        found.append(Sample(cos, label, norm, weight_norms))
    return found
