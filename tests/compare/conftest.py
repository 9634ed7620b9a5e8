"""A comparison small enough for a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_comparisons import Table, run_comparison
from tiny_runs import tiny_table, write_faces, write_pairs


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """NormFace and a search, two seeds, two epochs each; the baselines come by themselves."""
    folder = tmp_path_factory.mktemp("comparison")
    faces = write_faces(folder)
    report = {"images": faces, "pairs": write_pairs(folder / "pairs.tsv"), "shares_people": True}
    return {
        **tiny_table(faces),
        "report": {"own": report},
        "compare": {"seeds": [0, 1], "lineage_epochs": 1.0, "budget_epochs": 2.0},
        "methods": {
            "normface": {"loss": {"name": "normface"}},
            "search": {"search": {"policy": "reinforce"}},
        },
    }


@pytest.fixture(scope="session")
def finished(table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished comparison; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    return run_comparison(table, folder)
