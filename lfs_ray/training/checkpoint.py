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
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lfs_ray.config.build import build
from lfs_ray.config.sections import ModelConfig
from lfs_ray.errors import RunError

Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]
FORMAT = "lfs-ray-checkpoint-1"
_KEY = "lfs_ray"


def encode(arrays: Mapping[str, npt.NDArray[np.generic]], facts: Mapping[str, object]) -> bytes:
    """Bytes of a checkpoint; `facts` (JSON values) go into its header.

    One metadata key alone: safetensors writes several in an order that differs from call to call.
    """
    content = json.dumps({"format": FORMAT, **facts}, sort_keys=True)
    return save(dict(arrays), metadata={_KEY: content})


def decode(blob: bytes, *, name: str) -> tuple[Arrays, dict[str, object]]:
    """Arrays and facts.

    Raises:
        RunError: not a checkpoint of lfs-ray, or cut off.
    """
    try:
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
        facts = json.loads(header.get("__metadata__", {}).get(_KEY, "{}"))
        arrays: Arrays = load(blob)
    except (SafetensorError, ValueError, AttributeError) as error:
        raise RunError(
            f"{name} must be a safetensors checkpoint, found {len(blob)} bytes that are not "
            f"({str(error).splitlines()[0]}): restore it from a copy"
        ) from error
    if facts.get("format") != FORMAT:
        raise RunError(
            f"{name} must be a checkpoint of format {FORMAT}, found "
            f"{facts.get('format', 'another safetensors file')}: use one that lfs-ray wrote"
        )
    return arrays, facts


def digest(blob: bytes) -> str:
    """Digest by which a stored checkpoint is known: 128 bits of BLAKE2b, hexadecimal."""
    return hashlib.blake2b(blob, digest_size=16).hexdigest()


def model_facts(model: ModelConfig) -> dict[str, object]:
    """The architecture and its pixels, for a checkpoint's header."""
    return asdict(model)


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
