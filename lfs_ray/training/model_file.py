"""A backbone on its own: taken out of a checkpoint, written for use, loaded for scoring."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch import nn

from lfs_ray.config.addresses import is_uri, parted
from lfs_ray.config.sections import ModelConfig
from lfs_ray.errors import ConfigError, RunError
from lfs_ray.storage import Storage
from lfs_ray.training.backbone import new_backbone
from lfs_ray.training.checkpoint import decode, encode, model_of

_PREFIX = "backbone."


def extract_backbone(blob: bytes, facts: Mapping[str, object], *, name: str) -> bytes:
    """Bytes of a file with the backbone of a checkpoint alone; `facts` are added to its own."""
    arrays, own = decode(blob, name=name)
    kept = {key: value for key, value in arrays.items() if key.startswith(_PREFIX)}
    return b"".join(encode(kept, {**own, **facts}))


def load_backbone(blob: bytes, *, name: str) -> tuple[nn.Module, ModelConfig]:
    """The backbone of a checkpoint or model file, in evaluation mode, and what it expects.

    Raises:
        RunError: the file is no checkpoint, or doesn't fit its own description.
    """
    arrays, facts = decode(blob, name=name)
    model = model_of(facts, name=name)
    weights = {
        key.removeprefix(_PREFIX): torch.from_numpy(value.copy())
        for key, value in arrays.items()
        if key.startswith(_PREFIX)
    }
    try:
        backbone = _build(model)
        backbone.load_state_dict(weights)
    except (ConfigError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"{name} must hold the backbone that its header describes, found another ({reason}): "
            f"restore it from a copy"
        ) from error
    return backbone.eval(), model


def read_model(path: str) -> bytes:
    """Bytes of a checkpoint or model file, given by a path or URI.

    Raises:
        RunError: there is no readable file.
    """
    # A link that the user names is followed; one inside a run is not.
    folder, name = parted(path if is_uri(path) else os.path.realpath(os.path.expanduser(path)))
    storage = Storage(folder)  # says itself what is wrong with an address, without repeating it
    try:
        return storage.read(name)
    except (OSError, RunError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(
            f"the checkpoint must be a readable file, found none at {path} "
            f"({reason}): give a *.safetensors file of a run"
        ) from error


def _build(model: ModelConfig) -> nn.Module:
    """The backbone with weights that are replaced at once: the process's generator stays."""
    with torch.random.fork_rng(devices=[]):
        return new_backbone(model)
