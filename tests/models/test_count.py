"""Counts against published ones, at 112x112 with embeddings of 512.

Parameters and GFLOPs (multiply-adds) of the IResNets: the tables that accompany ArcFace in
PyTorch. MobileFaceNet: 0.99 M and 221 M multiply-adds with 128 dimensions (the paper, which counts
a little less than every parameter), 1.20 M with 512. SE-ResNet-IR-50: 43.8 M.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lfs_ray.models.catalogue import BACKBONES, build_backbone
from lfs_ray.models.count import count_multiply_adds, count_parameters

PUBLISHED = [
    ("mobilefacenet", 128, 1.00, 0.221),
    ("mobilefacenet", 512, 1.20, 0.221),
    ("iresnet18", 512, 24.0, 2.6),
    ("iresnet34", 512, 34.1, 4.5),
    ("iresnet50", 512, 43.6, 6.3),
    ("iresnet100", 512, 65.2, 12.1),
    ("seresnet50_ir", 512, 43.8, 6.3),
]


def _digits(value: float) -> int:
    return len(str(value).partition(".")[2])


@pytest.mark.parametrize(("name", "embedding_dim", "parameters_m", "multiply_adds_g"), PUBLISHED)
def test_published_counts(
    name: str, embedding_dim: int, parameters_m: float, multiply_adds_g: float
) -> None:
    net = build_backbone(name, embedding_dim=embedding_dim, input_size_px=112)
    assert round(count_parameters(net) / 1e6, _digits(parameters_m)) == parameters_m
    multiply_adds = count_multiply_adds(net, 112)
    assert round(multiply_adds / 1e9, _digits(multiply_adds_g)) == multiply_adds_g


def test_every_published_backbone_is_here() -> None:
    assert {name for name, *_ in PUBLISHED} == set(BACKBONES) - {"tiny"}


def test_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, groups=1, bias=False),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 5),
    )
    assert count_parameters(net) == 108 + 8 + 40 + 325
    assert count_multiply_adds(net, 8) == 16 * (4 * 27 + 4 * 9) + 64 * 5


def test_counting_leaves_the_model_as_it_was() -> None:
    net = build_backbone("tiny", embedding_dim=8, input_size_px=32)
    before = {label: tensor.clone() for label, tensor in net.state_dict().items()}
    count_multiply_adds(net, 32)
    assert net.training
    assert all(torch.equal(before[label], tensor) for label, tensor in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
