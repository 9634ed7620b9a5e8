"""Facts of nodes to lines, and how facts are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfs_ray.execution.node_agreement import NodeView, disagreements
from lfs_ray.execution.node_facts import Facts, node_facts

VERSIONS = {"lfs_ray": "1 (code a)", "torch": "2.13.0+cpu", "numpy": "2.4"}
DRIVER: Facts = {"versions": VERSIONS, "data": {"/d/faces": "list.txt of 9 bytes"}}
FIT = NodeView(name="n", trains=True, facts=DRIVER, sees_storage=True)


def found(*views: NodeView) -> list[str]:
    return disagreements(DRIVER, views, "/runs/x")


def having(view: NodeView = FIT, **changes: dict[str, str]) -> NodeView:
    """A node with other versions or data."""
    return replace(view, facts={kind: DRIVER[kind] | changes.get(kind, {}) for kind in DRIVER})


def test_equal_nodes_agree() -> None:
    assert found(FIT, replace(FIT, name="m")) == []


def test_data_need_not_lie_where_no_worker_fits() -> None:
    lacking = having(data={"/d/faces": "missing"})
    assert len(found(lacking)) == 1
    assert found(replace(lacking, trains=False)) == []


def test_other_data_of_the_same_name_are_told() -> None:
    (line,) = found(having(data={"/d/faces": "list.txt of 8 bytes"}))
    assert "has other ones in /d/faces, list.txt of 8 bytes (the driver list.txt of 9" in line


def test_what_the_driver_lacks_too_is_not_a_nodes_fault() -> None:
    driver: Facts = {**DRIVER, "data": {"/d/faces": "missing"}}
    view = having(data={"/d/faces": "missing"})
    assert disagreements(driver, [view], "/runs/x") == []


def test_all_packages_that_differ_are_in_one_line() -> None:
    (line,) = found(having(versions={"torch": "2.12.0", "numpy": "2.3"}))
    assert "torch 2.12.0 (the driver 2.13.0+cpu), numpy 2.3 (the driver 2.4): install" in line


def test_builds_of_torch_may_differ_from_the_drivers_but_not_among_workers() -> None:
    gpu = having(versions={"torch": "2.13.0+cu126"})
    assert found(gpu, replace(gpu, name="m")) == []
    assert found(gpu, replace(FIT, trains=False)) == []
    (line,) = found(gpu, replace(FIT, name="m"))
    assert "node m has 2.13.0+cpu, node n has 2.13.0+cu126" in line


def test_node_that_does_not_answer_is_told_with_the_reason() -> None:
    (line,) = found(replace(FIT, facts=None, sees_storage=None, trouble="no answer within 60 s"))
    assert "node n does not (no answer within 60 s): repair it" in line


@pytest.mark.parametrize(("code", "told"), [("1 (code a)", True), ("1 (code b)", False)])
def test_storage_that_could_not_be_asked_counts_unless_another_lfs_ray_was_asked(
    code: str, told: bool
) -> None:
    view = replace(having(versions={"lfs_ray": code}), sees_storage=None, trouble="no key")
    lines = found(view)
    assert (
        sum("does not see what the driver writes to /runs/x (no key)" in x for x in lines) == told
    )
    assert len(lines) == 1


def test_facts_tell_a_copy_from_other_data(tmp_path: Path) -> None:
    for name, manifest in (("one", "{}"), ("same", "{}"), ("other", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "list.txt").write_text("12345")
        (tmp_path / name / "manifest.json").write_text(manifest)
        (tmp_path / name / "lock.mdb").write_text(name)
    paths = [str(tmp_path / name) for name in ("one", "same", "other", "absent")]
    paths += [paths[0] + "/list.txt", str(tmp_path)]
    one, same, other, absent, file, folder = node_facts(paths)["data"].values()
    assert one.startswith("list.txt of 5 bytes, manifest.json of 2 bytes (digest ")
    assert one == same != other
    assert (absent, file, folder) == ("missing", "5 bytes", "a directory")
