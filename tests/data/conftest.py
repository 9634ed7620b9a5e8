"""Class folders and a packed set for the tests of the data room."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_samples import encoded, pixels_of

from lfs_ray.data.pack import pack


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Classes 10, 2 and b (ranks 0, 1, 2) of 3, 2 and 4 images."""
    root = tmp_path / "images"
    number = 0
    for name, count in (("2", 2), ("10", 3), ("b", 4)):
        (root / name).mkdir(parents=True)
        for image in range(count):
            (root / name / f"{image:03d}.jpg").write_bytes(encoded(pixels_of(number), quality=90))
            number += 1
    return root


@pytest.fixture
def packed(class_folders: Path, tmp_path: Path) -> Path:
    pack(class_folders, tmp_path / "packed")
    return tmp_path / "packed"
