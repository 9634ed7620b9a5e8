"""Packed faces and the material of the tiny run, made once."""

from __future__ import annotations

import pytest
from tiny_runs import tiny_config, write_faces

from lfs_ray.training.material import Material, open_material


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_faces(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="session")
def material(faces: str) -> Material:
    return open_material(tiny_config(faces))
