"""Whatever is killed, whenever, again and again: result columns and weights are the undisturbed.

Real processes on a cluster of three nodes. Most kills hit a search without torch, the rest the
command line with real training. Longer: `run.py`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import Campaign, campaign, kinds_of
from cluster_nodes import nodes_in
from siege import PROCESSES
from targets import RealSearch, Reference, ScriptedSearch
from traps import POINTS

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),
]

SEED = 16
KILLS = {"scripted": 38, "real": 9}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, as Ray's sockets need it, for everything of a campaign."""
    path = Path(tempfile.mkdtemp(prefix="chaos-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def wage(trainer: str, reference: Reference, folder: Path) -> Campaign:
    """All kills of a trainer; the table is printed whatever comes of it."""
    waged = campaign(trainer, reference, KILLS[trainer], SEED)
    with nodes_in(folder, count=2, cpus=2) as nodes:
        try:
            waged.wage(nodes, folder)
        finally:
            print("", *waged.table(), sep="\n")
    return waged


def check(waged: Campaign) -> None:
    assert waged.num_differences == 0
    assert waged.endings == []
    planned = Counter(kill.kind for kill in waged.kills)
    assert {kind: len(waged.strikes(kind)) for kind in planned} == planned


def test_search_without_torch(folder: Path) -> None:
    check(wage("scripted", ScriptedSearch(folder, rounds=60, pace_s=0.05), folder))


def test_real_training_through_the_command_line(folder: Path) -> None:
    check(wage("real", RealSearch(folder, rounds=20), folder))


def test_every_process_is_killed_three_times_and_every_point_is_hit() -> None:
    planned = Counter(
        kind for trainer, number in KILLS.items() for kind in kinds_of(trainer, number)
    )
    assert set(planned) == {*PROCESSES, *POINTS}
    assert min(planned[kind] for kind in PROCESSES) >= 3
    assert sum(planned.values()) >= 30
    assert KILLS["real"] >= 6
