"""A training state as one safetensors file, with facts about it in the header.

Names of its arrays: `backbone.*`, `classifier.*`, `loss.*`, `momentum.*`, `scaler.*`. One object,
one put: what the model needs to be used again (architecture, colour order, pixel scaling) stands
in the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lfs_ray.config.build import build
from lfs_ray.config.sections import ModelConfig
from lfs_ray.errors import RunError
from lfs_ray.training.tensor_bytes import Part, pack_tensors, unpack_tensors

Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]
FORMAT = "lfs-ray-checkpoint-1"
_KEY = "lfs_ray"
_MOMENTUM = "momentum."
_OF_TRAINING = ("classifier", "classifier_chunk")
"""Keys of the model's section that say how it is trained; nothing of it depends on them."""


def encode(
    arrays: Mapping[str, npt.NDArray[np.generic]], facts: Mapping[str, object]
) -> list[Part]:
    """Parts of a checkpoint file; `facts` (JSON values) go into its header.

    The parts share memory with the arrays. The same arrays and facts give the same bytes.
    """
    content = json.dumps({"format": FORMAT, **facts}, sort_keys=True)
    return pack_tensors(arrays, {_KEY: content})


def decode(blob: Part, *, name: str) -> tuple[Arrays, dict[str, object]]:
    """Arrays, which are read-only views of `blob`, and facts.

    Raises:
        RunError: not a checkpoint of lfs-ray, or cut off.
    """
    try:
        arrays, metadata = unpack_tensors(blob)
        facts = json.loads(metadata.get(_KEY, "{}"))
        found = facts.get("format", "another safetensors file")
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{name} must be a safetensors checkpoint, found {len(blob)} bytes that are not "
            f"({str(error).splitlines()[0]}): restore it from a copy"
        ) from error
    if found != FORMAT:
        raise RunError(
            f"{name} must be a checkpoint of format {FORMAT}, found {found}: use one that "
            f"lfs-ray wrote"
        )
    return arrays, facts


def with_momentum_of(
    arrays: Mapping[str, npt.NDArray[np.generic]], other: Mapping[str, npt.NDArray[np.generic]]
) -> Arrays:
    """A state with the optimizer's momentum of another of the same model."""
    kept = {name: value for name, value in arrays.items() if not name.startswith(_MOMENTUM)}
    return kept | {name: value for name, value in other.items() if name.startswith(_MOMENTUM)}


def digest(*parts: Part) -> str:
    """Digest by which a stored checkpoint is known: SHA-256 of its bytes, hexadecimal."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def model_facts(model: ModelConfig) -> dict[str, object]:
    """The architecture and its pixels, for a checkpoint's header."""
    facts = asdict(model)
    return {key: value for key, value in facts.items() if key not in _OF_TRAINING}


def model_of(facts: Mapping[str, object], *, name: str) -> ModelConfig:
    """The architecture that a checkpoint's header describes.

    Raises:
        RunError: the header lacks it or holds something else.
    """
    table = facts.get("model")
    config, mistakes = build(ModelConfig, table if isinstance(table, dict) else {}, where="model")
    if mistakes or not isinstance(table, dict):
        reason = mistakes[0] if mistakes else "nothing"
        raise RunError(f"{name} must describe its model in its header, found {reason}")
    return config
