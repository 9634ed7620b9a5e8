"""What befalls a search on a cluster besides kills: silence, nodes that join, late drivers."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_nodes import Nodes, nodes_in
from executor_cases import reference, results, rows_by_trial
from scripted_search import SCRIPT, search_config
from targets import Target, scripted_target

from lfs_ray.config.sections import Config, PopulationConfig, SearchConfig
from lfs_ray.storage import Storage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),
]

TIMEOUT_S = 150.0
Search = Callable[..., Target]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with a short path, as Ray's sockets need it."""
    path = Path(tempfile.mkdtemp(prefix="faults-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Nodes]:
    with nodes_in(place, count=0, cpus=1) as nodes:
        yield nodes


@pytest.fixture
def nodes(cluster: Nodes) -> Iterator[Nodes]:
    """A head, to which a test adds nodes for one worker each."""
    yield cluster
    cluster.clear()


@pytest.fixture
def folder(place: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=place))


@pytest.fixture
def search(folder: Path) -> Iterator[Search]:
    """Makes targets in the folder; their drivers end with the test."""
    targets: list[Target] = []

    def make(*args: Any, **kwargs: Any) -> Target:
        targets.append(scripted_target(folder, *args, **kwargs))
        return targets[-1]

    yield make
    for target in targets:
        target.end()


def searched(**search: Any) -> PopulationConfig:
    return PopulationConfig(search=SearchConfig(policy="reinforce", round_epochs=0.5, **search))


def wait_until(true: Callable[[], bool], target: Target) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline, target.log
        time.sleep(0.02)


def end_of(target: Target) -> int:
    assert target.driver is not None
    return target.driver.wait(TIMEOUT_S)


def check_results(config: Config, target: Target) -> None:
    assert results(config, Storage(target.run_dir)) == reference(config, SCRIPT)


def test_a_trial_that_holds_the_interpreter_for_a_minute_keeps_its_lease(
    nodes: Nodes, search: Search
) -> None:
    for _ in range(3):
        nodes.add()
    # The third worker has nothing to do and would be given a trial whose lease ran out.
    config = search_config(
        {"main": searched(members=2, rounds=1)},
        nodes.address,
        count=3,
        heartbeat_s=1.0,
        lease_timeout_s=5.0,
    )
    target = search(config, pace_s=60.0, wait="hold")
    target.start()
    assert end_of(target) == 0, target.log
    rows = rows_by_trial(config, Storage(target.run_dir))
    assert [(row["attempts"], float(str(row["duration_s"])) > 59) for row in rows.values()] == [
        (1, True),
        (1, True),
    ]
    check_results(config, target)


def test_workers_that_join_in_mid_round_train_in_it(nodes: Nodes, search: Search) -> None:
    nodes.add()
    populations = {"many": searched(members=8, rounds=2), "few": searched(members=1, rounds=3)}
    config = search_config(populations, nodes.address, count=3)
    target = search(config, pace_s=3.0)
    target.start()
    wait_until(lambda: target.progress().trials >= 1, target)
    joined_s = time.time()
    nodes.add()
    nodes.add()
    assert end_of(target) == 0, target.log
    first = [
        row
        for (name, number, _), row in rows_by_trial(config, Storage(target.run_dir)).items()
        if (name, number) == ("many", 0)
    ]
    workers = {str(row["worker"]) for row in first if row["started_at"].timestamp() > joined_s}
    assert len(workers) == 3
    check_results(config, target)


@pytest.mark.parametrize("number", [2, 3], ids=["a round alone", "before a compaction"])
def test_a_commit_that_comes_after_the_takeover_does_no_harm(
    number: int, nodes: Nodes, search: Search
) -> None:
    for _ in range(4):
        nodes.add()
    config = search_config({"main": searched(members=3, rounds=14)}, nodes.address, count=2)
    old = search(config, pace_s=0.3)
    old.start()
    wait_until(lambda: old.progress().rounds["main"] == number, old)
    old.traps.arm("commit-before", "stop")
    wait_until(lambda: bool(old.traps.hits()), old)
    stopped = old.traps.hits()[0].pid
    new = search(config, pace_s=0.3, traps="traps of the newer")
    new.start()
    wait_until(lambda: new.progress().rounds["main"] >= number + 2, new)
    old.traps.arm("commit-after", "note")
    os.kill(stopped, signal.SIGCONT)
    assert end_of(old) == 1
    assert old.traps.hits()[-1].point == "commit-after", "the late commit must have been written"
    assert "found generation 1 beside this one, 0" in old.log
    assert end_of(new) == 0, new.log
    check_results(config, new)
