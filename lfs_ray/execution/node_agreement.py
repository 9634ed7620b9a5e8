"""What nodes must agree on before a search starts: the run's storage, its data, the versions.

Pure: the facts of the driver and of each node in, one line for each disagreement out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lfs_ray.execution.node_facts import MISSING, Facts


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeView:
    """What a node says.

    Args:
        name: host, address and head of the node's id.
        trains: whether a worker fits on it; data must lie on such nodes only.
        facts: its `node_facts`; None: it did not answer.
        sees_storage: whether it reads what the driver wrote to the run directory; None: it could
            not be asked.
        trouble: why it did not answer, or does not see the run directory.
    """

    name: str
    trains: bool
    facts: Facts | None
    sees_storage: bool | None = None
    trouble: str = ""


def disagreements(driver: Facts, views: Sequence[NodeView], run_directory: str) -> list[str]:
    """One line for everything in which a node differs from the driver, or nodes from another."""
    lines: list[str] = []
    for view in views:
        lines += _silence(view)
        if view.facts is not None:
            lines += _storage(view, driver, run_directory)
            lines += _versions(view.name, view.facts["versions"], driver["versions"])
            if view.trains:
                lines += _data(view.name, view.facts["data"], driver["data"])
    return lines + list(_builds(views))


def _silence(view: NodeView) -> Iterator[str]:
    if view.facts is None:
        yield (
            f"every node must answer before a search starts, node {view.name} does not "
            f"({view.trouble}): repair it, or take it out of the cluster"
        )


def _storage(view: NodeView, driver: Facts, run_directory: str) -> Iterator[str]:
    assert view.facts is not None
    same_code = view.facts["versions"]["lfs_ray"] == driver["versions"]["lfs_ray"]
    # Where another lfs-ray could not even be asked, that it is another one says why.
    if view.sees_storage or (view.sees_storage is None and not same_code):
        return
    why = f" ({view.trouble})" if view.trouble else ""
    yield (
        f"the run directory must be one that every node reaches, node {view.name} does not see "
        f"what the driver writes to {run_directory}{why}: use a run directory on shared storage"
    )


def _versions(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    others = [
        f"{package} {found.get(package)} (the driver {version})"
        for package, version in wanted.items()
        if _public(found.get(package, "")) != _public(version)
    ]
    if others:
        yield (
            f"versions must be equal on all nodes, node {name} has {', '.join(others)}: install "
            f"the driver's there"
        )


def _data(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    missing = [path for path, there in found.items() if there == MISSING != wanted[path]]
    if missing:
        yield (
            f"data must lie on every node that trains, node {name} lacks {', '.join(missing)}: "
            f"copy them there, or read them from shared storage"
        )
    for path, there in found.items():
        if there not in (MISSING, wanted[path]):
            yield (
                f"data must be the same on every node that trains, node {name} has other ones in "
                f"{path}, {there} (the driver {wanted[path]}): copy the driver's there"
            )


def _builds(views: Sequence[NodeView]) -> Iterator[str]:
    """Where workers may run, torch must be one build; a driver without a GPU may have another."""
    training = [view for view in views if view.trains and view.facts is not None]
    for view in training[1:]:
        first = training[0]
        assert view.facts is not None
        assert first.facts is not None
        here, there = view.facts["versions"]["torch"], first.facts["versions"]["torch"]
        if here != there and _public(here) == _public(there):
            yield (
                f"torch must be one build on all nodes that train, node {view.name} has {here}, "
                f"node {first.name} has {there}: install one of them everywhere"
            )


def _public(version: str) -> str:
    """A version without its local label: 2.13.0 of 2.13.0+cu126."""
    return version.partition("+")[0]
