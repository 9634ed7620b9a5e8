"""The nodes of a cluster asked what they have, before a search starts.

Data flow: driver -> a probe file in the run directory -> a task on every node -> `node_agreement`.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lfs_ray.config.sections import Config
from lfs_ray.errors import RunError
from lfs_ray.execution import node_facts
from lfs_ray.execution.connection import started_here
from lfs_ray.execution.node_agreement import NodeView, disagreements
from lfs_ray.storage import TEMPORARY, Storage

ANSWER_TIMEOUT_S = 60.0
VISIBLE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.2
_REASON_CHARS = 300
Node = Mapping[str, Any]


def check_nodes(config: Config, storage: Storage, needed: Mapping[str, float]) -> None:
    """Refuse a cluster whose nodes don't see the run directory or differ in data or versions.

    Nothing is left in the run directory. A Ray of our own, one node with this process's
    environment, is not asked.

    Args:
        config: a resolved configuration, with absolute paths.
        storage: the run directory.
        needed: what Ray reserves for a worker, "cpu" and "gpu".

    Raises:
        RunError: one line for each disagreement of each node.
    """
    nodes = alive_nodes()
    if started_here() and len(nodes) == 1:
        return
    paths = data_paths(config)
    with _probe(storage) as (name, content):
        views = survey(nodes, paths, storage, name, content, needed)
    lines = disagreements(node_facts.node_facts(paths), views, storage.path())
    if lines:
        raise RunError("\n".join(lines))


def alive_nodes() -> list[Node]:
    """Ray's nodes that are alive."""
    nodes: list[Node] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def data_paths(config: Config) -> list[str]:
    """Local paths of the data that workers read; report sets are the driver's business."""
    data = config.data
    paths = (*data.train, *data.lists, data.validation_images, data.validation_pairs)
    return [path for path in paths if path and "://" not in path]


def survey(
    nodes: Sequence[Node],
    paths: Sequence[str],
    storage: Storage,
    name: str,
    content: bytes,
    needed: Mapping[str, float],
) -> list[NodeView]:
    """What each node says; one that is lost meanwhile is left out.

    Args:
        nodes: of `alive_nodes`.
        paths: of `data_paths`.
        storage: the run directory.
        name: a file of it.
        content: what it holds.
        needed: what Ray reserves for a worker.
    """
    # Sent as code, not as a name of this package, which a node may lack.
    ray.cloudpickle.register_pickle_by_value(node_facts)  # type: ignore[no-untyped-call]
    facts = _ask(nodes, node_facts.node_facts, paths)
    sees = _ask(nodes, _look, storage, name, content)
    left = {node["NodeID"] for node in alive_nodes()}
    return [
        _view(node, facts[node["NodeID"]], sees[node["NodeID"]], needed)
        for node in nodes
        if node["NodeID"] in left
    ]


def _ask(nodes: Sequence[Node], function: Any, *args: Any) -> dict[str, Any]:
    """A function's value on each node, or the error there."""
    task = ray.remote(function)
    asked = {
        node["NodeID"]: task.options(
            num_cpus=0,
            max_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(*args)
        for node in nodes
    }
    done, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_TIMEOUT_S)
    return {node: _answer(one, done) for node, one in asked.items()}


def _answer(asked: Any, done: Collection[Any]) -> Any:
    if asked not in done:
        ray.cancel(asked, force=True)
        return TimeoutError(f"no answer within {ANSWER_TIMEOUT_S:g} s")
    try:
        return ray.get(asked)
    except (RayError, RuntimeError, ImportError) as error:
        return error


def _view(node: Node, facts: Any, sees: Any, needed: Mapping[str, float]) -> NodeView:
    there = node["Resources"]
    lost, unasked = isinstance(facts, Exception), isinstance(sees, Exception)
    why = _reason(facts) if lost else _reason(sees) if unasked else sees
    return NodeView(
        name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})",
        trains=all(there.get(kind.upper(), 0.0) >= amount for kind, amount in needed.items()),
        facts=None if lost else facts,
        sees_storage=None if unasked else not why,
        trouble=why,
    )


def _reason(error: Exception) -> str:
    """An error in one line; Ray wraps those of a task in a traceback."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:_REASON_CHARS]


def _look(storage: Storage, name: str, content: bytes) -> str:
    """Why this machine doesn't read what the driver wrote; shared disks may take a while."""
    deadline = time.monotonic() + VISIBLE_WITHIN_S
    reason = "it holds something else"
    while time.monotonic() < deadline:
        try:
            if storage.read(name) == content:
                return ""
        except OSError as error:
            reason = error.strerror or _reason(error)
        except RunError as error:
            return str(error)
        time.sleep(_LOOK_EVERY_S)
    return reason


@contextlib.contextmanager
def _probe(storage: Storage) -> Iterator[tuple[str, bytes]]:
    """A file that only this driver can have written; with its new folders it is gone after."""
    name, content = f"{TEMPORARY}probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
    made = _missing_folders(storage.path())
    storage.write(name, content)
    try:
        yield name, content
    finally:
        storage.delete(name)
        for folder in made:
            with contextlib.suppress(OSError):  # somebody else has begun to use it
                os.rmdir(folder)


def _missing_folders(path: str) -> list[str]:
    """Folders on the way to a local path that don't exist yet, the deepest first."""
    missing = []
    while "://" not in path and not os.path.exists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing
