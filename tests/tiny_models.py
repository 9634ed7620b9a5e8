"""Model files that are made in a moment: a small backbone with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lfs_ray.config.sections import ModelConfig
from lfs_ray.training.backbone import new_backbone
from lfs_ray.training.checkpoint import encode, model_facts

MODEL = ModelConfig(width=4, embedding_dim=8, input_size_px=32)


def write_model(folder: Path, model: ModelConfig = MODEL, *, spoil: bool = False) -> str:
    """A model file; its path. `spoil`: all weights are NaN."""
    torch.manual_seed(0)
    backbone = new_backbone(model)
    arrays = {f"backbone.{name}": value.numpy() for name, value in backbone.state_dict().items()}
    if spoil:
        arrays = {
            name: np.full_like(value, np.nan) if value.dtype == np.float32 else value
            for name, value in arrays.items()
        }
    path = folder / "model.safetensors"
    path.write_bytes(b"".join(encode(arrays, {"model": model_facts(model)})))
    return str(path)
