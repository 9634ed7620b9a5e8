"""A run small enough for a test: 168 synthetic faces, a net of four channels, a few steps."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from lfs_ray.cli import run
from lfs_ray.config.build import build_config
from lfs_ray.config.resolve import resolve
from lfs_ray.config.sections import Config
from lfs_ray.data.synthetic import SyntheticFaces, synthesize
from lfs_ray.execution.fit import with_losses_resolved

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


def tiny_table(faces: str, **sections: dict[str, Any]) -> dict[str, Any]:
    """Nested tables of the configuration, with some keys of some sections changed."""
    table = tomllib.loads(TEXT.format(faces=faces))
    for section, keys in sections.items():
        table[section] = {**table.get(section, {}), **keys}
    return table


def tiny_config(faces: str, **sections: dict[str, Any]) -> Config:
    """The resolved configuration."""
    config, mistakes = build_config(tiny_table(faces, **sections), place="the test")
    assert not mistakes, mistakes
    return with_losses_resolved(resolve(config, name="tiny"))


def write_config(folder: Path, faces: str, **sections: dict[str, Any]) -> str:
    """The configuration as a file; its path."""
    path = folder / "tiny.toml"
    path.write_text(tomli_w.dumps(tiny_table(faces, **sections)))
    return str(path)


def write_pairs(path: Path, *more_rows: str) -> str:
    """A pair list of two folds on the faces; the path."""
    rows = ["fold\tsame\ta\tb"]
    for fold in (0, 1):
        for person in range(2):
            one, other = f"p0000{2 * fold + person}", f"p0000{4 + 2 * fold + person}"
            rows.append(f"{fold}\t1\t{one}/000.jpg\t{one}/001.jpg")
            rows.append(f"{fold}\t0\t{one}/000.jpg\t{other}/000.jpg")
    path.write_text("\n".join([*rows, *more_rows]) + "\n")
    return str(path)


def lfs_ray(*words: str) -> int:
    """The command line, in this process; the exit code."""
    return run(list(words))


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; empty where there is none."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
