"""The section `model` as a network: to train, to score with, or as sizes alone for a plan."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from lfs_ray.config.sections import ModelConfig
from lfs_ray.models.catalogue import build_backbone
from lfs_ray.models.count import count_multiply_adds, count_parameters


class ModelSize(NamedTuple):
    """How large a backbone is."""

    parameters: int
    multiply_adds: int
    """Of one image."""


def new_backbone(model: ModelConfig) -> nn.Module:
    """The network with initial weights from torch's default generator: seed it before.

    Raises:
        ConfigError: no network has such a description.
    """
    return build_backbone(
        model.backbone,
        embedding_dim=model.embedding_dim,
        input_size_px=model.input_size_px,
        width=model.width,
    )


def measure(model: ModelConfig) -> ModelSize:
    """Sizes of the network, from its shapes: it is built without numbers and runs without them."""
    with torch.device("meta"):
        backbone = new_backbone(model)
        multiply_adds = count_multiply_adds(backbone, model.input_size_px)
    return ModelSize(count_parameters(backbone), multiply_adds)
