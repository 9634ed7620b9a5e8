"""A run small enough for a test: 168 synthetic faces, a net of four channels, a few steps."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from lfs_ray.config.build import build_config
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import Config
from lfs_ray.data.synthetic import SyntheticFaces, synthesize

NUM_IDENTITIES = 28
HELD_OUT = 20  # two identities in each of ten folds
IMAGES_EACH = 6
EPOCH_IMAGES = (NUM_IDENTITIES - HELD_OUT) * IMAGES_EACH

TEXT = """
[data]
train = ["{faces}"]
validation_share = 0.72
validation_pairs_per_fold = 4
[model]
width = 4
embedding_dim = 8
input_size_px = 32
[loss]
scale = 16.0
[search]
members = 2
rounds = 2
round_epochs = 0.5
sigma = 0.2
[optimizer]
batch_size = 8
[worker]
executor = "serial"
device = "cpu"
[storage]
fsync = false
"""


def write_faces(folder: Path) -> str:
    """Pack the synthetic faces; the path."""
    path = str(folder / "faces")
    synthesize(SyntheticFaces(NUM_IDENTITIES, IMAGES_EACH, 32, 0), path)
    return path


def tiny_table(faces: str) -> dict[str, Any]:
    """Nested tables of the configuration."""
    return tomllib.loads(TEXT.format(faces=faces))


def tiny_config(faces: str, **sections: dict[str, object]) -> Config:
    """The resolved configuration, with some keys of some sections changed."""
    table = tiny_table(faces)
    for section, keys in sections.items():
        table[section] = {**table.get(section, {}), **keys}
    config, mistakes = build_config(table, place="the test")
    assert not mistakes, mistakes
    return resolve(config, name="tiny")
