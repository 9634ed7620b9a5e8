"""A finished run of two populations with a report set, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import lfs_ray, write_config, write_faces, write_pairs

POPULATIONS = {
    "main": {},
    "am": {"loss": {"name": "am_softmax"}, "search": {"policy": "fixed", "members": 1}},
}


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_faces(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="session")
def config_file(faces: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("configuration")
    # The reported people are those of the training set: accuracies here mean nothing.
    few = {"images": faces, "pairs": write_pairs(folder / "pairs.tsv"), "shares_people": True}
    return write_config(folder, faces, populations=POPULATIONS, report={"few": few})


@pytest.fixture(scope="session")
def finished(config_file: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert lfs_ray("search", config_file, "--run-dir", str(folder)) == 0
    return folder
