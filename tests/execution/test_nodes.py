"""Nodes that differ are told before a search starts, all at once; a wrong clock does no harm."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import scripted_runner
from executor_cases import (
    EPOCH_IMAGES,
    FAULTLESS,
    LEARNS_ONLY,
    config_of,
    new_storage,
    reference,
    results,
    rows_by_trial,
)
from ray.cluster_utils import Cluster
from scripted_runner import trainings
from slow_runner import slow
from tiny_runs import lfs_ray, write_config, write_faces

from lfs_ray.config.dump import dump_toml
from lfs_ray.execution import newcomers
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.node_survey import check_nodes
from lfs_ray.execution.tune_run import RaySearch, run_on_ray

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.filterwarnings("default")]
TESTS = Path(scripted_runner.__file__).parent
DISGUISE = str(TESTS / "disguised_node")
NEEDED = {"cpu": 1.0, "gpu": 0.0}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, as Ray's sockets need it."""
    with tempfile.TemporaryDirectory(prefix="lr-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def cluster(folder: Path, *disguises: dict[str, str]) -> Iterator[Cluster]:
    """A head where no worker fits and a node for each disguise, joined by this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
        nodes = Cluster()
        try:
            nodes.add_node(num_cpus=0, include_dashboard=False)
            for disguise in disguises:
                join(nodes, disguise)
            ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()


def join(nodes: Cluster, disguise: dict[str, str]) -> None:
    """Add a node of one CPU."""
    path = os.pathsep.join([*disguise.get("path", "").split(), DISGUISE, os.environ["PYTHONPATH"]])
    nodes.add_node(num_cpus=1, env_vars={**disguise, "PYTHONPATH": path})


def fake_torch(folder: Path) -> str:
    """A folder that makes a node's torch look like another one."""
    facts = folder / "torch-9.9.9.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n")
    return str(folder)


def test_all_nodes_that_differ_are_told_at_once_and_nothing_is_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = write_faces(folder)
    file = write_config(folder, faces, worker={"executor": "ray", "count": 1})
    ill = [
        {"DISGUISE_HIDES": str(folder / "runs")},
        {"DISGUISE_HIDES": faces},
        {"path": fake_torch(folder / "site")},
        {"DISGUISE_LACKS": "lfs_ray"},
    ]
    with cluster(folder, {}, *ill):
        assert lfs_ray("search", file, "--run-dir", str(folder / "runs" / "x")) == 1
    lines = capsys.readouterr().err.splitlines()
    node = r"node \S+ \(\S+, [0-9a-f]{8}\)"
    patterns = [
        rf"the run directory must be one that every node reaches, {node} does not see what the "
        rf"driver writes to {folder}/runs/x \(No such file or directory\): use a run directory on "
        r"shared storage",
        rf"data must lie on every node that trains, {node} lacks {faces}: copy them there, or "
        r"read them from shared storage",
        rf"versions must be equal on all nodes, {node} has torch 9\.9\.9 \(the driver \S+\): "
        r"install the driver's there",
        rf"versions must be equal on all nodes, {node} has lfs_ray not installed \(the driver "
        r"\S+ \(code [0-9a-f]{8}\)\): install the driver's there",
    ]
    assert len(lines) == len(patterns), lines
    for pattern in patterns:
        assert sum(bool(re.fullmatch(f"lfs-ray: error: {pattern}", x)) for x in lines) == 1, lines
    assert not (folder / "runs").exists()


def test_clock_of_a_node_that_is_days_off_changes_nothing(folder: Path) -> None:
    config = config_of(LEARNS_ONLY)
    storage = new_storage(folder, config)
    days_s = 3 * 24 * 3600.0
    make_runner: Any = functools.partial(
        slow, script=FAULTLESS, storage=storage, marks=folder / "marks"
    )
    with cluster(folder, {}, {"DISGUISE_CLOCK_S": str(-days_s)}):
        check_nodes(config, storage, NEEDED)
        search = RaySearch(
            config=config,
            config_text=dump_toml(config),
            epoch_images=EPOCH_IMAGES,
            storage=storage,
            generation=start_generation(storage, config.populations),
            make_runner=make_runner,
        )
        assert run_on_ray(search, contextlib.nullcontext) == ""
    assert results(config, storage) == reference(config, FAULTLESS)
    rows = rows_by_trial(config, storage).values()
    starts = sorted(row["started_at"].timestamp() for row in rows)  # type: ignore[attr-defined]
    assert starts[-1] - starts[0] > days_s / 2  # both clocks took part
    assert all(0.0 <= float(str(row["duration_s"])) < days_s / 2 for row in rows)


def test_nodes_that_join_late_and_do_not_fit_stop_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "PERIOD_S", 1.0)
    config = config_of(LEARNS_ONLY)
    config = replace(config, worker=replace(config.worker, count=3))
    storage = new_storage(folder, config)
    told: list[str] = []
    search = RaySearch(
        config=config,
        config_text=dump_toml(config),
        epoch_images=EPOCH_IMAGES,
        storage=storage,
        generation=start_generation(storage, config.populations),
        make_runner=functools.partial(
            slow, script=FAULTLESS, storage=storage, marks=folder / "marks"
        ),
        tell=told.append,
    )
    with cluster(folder, {}) as nodes, ThreadPoolExecutor(1) as beside:
        reason = beside.submit(run_on_ray, search, contextlib.nullcontext)
        while not trainings(folder / "marks"):
            assert not reason.done(), reason.result()
            time.sleep(0.1)
        join(nodes, {"DISGUISE_HIDES": str(folder / "run")})
        join(nodes, {"DISGUISE_LACKS": "lfs_ray"})
        assert reason.result() == ""
    print(told)
    assert results(config, storage) == reference(config, FAULTLESS)
    assert len(told) == 2
    assert sum("does not see what the driver writes to" in line for line in told) == 1
    assert sum("has lfs_ray not installed" in line for line in told) == 1
    assert all(line.endswith("; its workers wait, the others go on") for line in told)
    assert {row["worker"] for row in rows_by_trial(config, storage).values()} == {"0"}
