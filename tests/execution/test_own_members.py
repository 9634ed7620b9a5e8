"""Real training of members that keep something of their own, ended after every single trial."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import tiny_config, write_faces

from lfs_ray.config.sections import Config
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.serial import run_serial
from lfs_ray.execution.trial_runner import TrialRunner
from lfs_ray.search.messages import Lease, Outcome
from lfs_ray.storage import Storage
from lfs_ray.training.material import Material, open_material
from lfs_ray.trials.committed import committed_rounds
from lfs_ray.trials.schema import RESULT_COLUMNS, column_names

MODES = {
    "weights": ["independent_init", "fixed_first_epochs"],
    "momentum": ["keep_momentum"],
    "both": ["independent_init", "keep_momentum"],
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_faces(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def material(faces: str) -> Material:
    return open_material(tiny_config(faces))


def config_of(faces: str, *compat: str) -> Config:
    search: dict[str, Any] = {"compat": list(compat), "rounds": 4, "round_epochs": 1.0}
    return tiny_config(faces, search=search)


def finished(config: Config, material: Material, folder: Path, *, ended: bool) -> Storage:
    """A finished run; `ended`: its process ends after every report of a trial."""
    storage = Storage(folder, fsync=False)

    def end(lease: Lease, outcome: Outcome) -> None:
        if ended:
            raise KeyboardInterrupt

    while True:
        generation = start_generation(storage, config.populations)
        coordinator = Coordinator(config, len(material.faces), storage, generation)
        try:
            assert run_serial(coordinator, TrialRunner(config, storage, material), end) == ""
        except KeyboardInterrupt:
            continue
        return storage


def results(storage: Storage) -> Iterator[str]:
    """Digest of the selected state and result columns; NaN equals NaN as text."""
    for one in committed_rounds(storage, "main"):
        yield one.metadata["checkpoint_digest"]
        names = column_names(["margin"], RESULT_COLUMNS)
        yield from (repr([row[name] for name in names]) for row in one.rows)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_ends_after_every_trial_equals_the_undisturbed(
    faces: str, material: Material, tmp_path: Path, mode: str
) -> None:
    config = config_of(faces, *MODES[mode])
    undisturbed = finished(config, material, tmp_path / "a", ended=False)
    ended = finished(config, material, tmp_path / "b", ended=True)
    assert [*results(ended)] == [*results(undisturbed)]


def test_modes_give_different_weights(faces: str, material: Material, tmp_path: Path) -> None:
    runs = {"plain": (), **MODES}
    digests = {
        committed_rounds(
            finished(config_of(faces, *compat), material, tmp_path / name, ended=False), "main"
        )[-1].metadata["checkpoint_digest"]
        for name, compat in runs.items()
    }
    assert len(digests) == len(runs)
