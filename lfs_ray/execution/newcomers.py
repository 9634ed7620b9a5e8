"""Nodes that join a cluster while a search runs: those that don't fit are told to the user.

Their own workers wait (see `admission`); a node without lfs-ray cannot even start one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping

from ray.exceptions import RayError

from lfs_ray.errors import RunError
from lfs_ray.execution.admission import Admission
from lfs_ray.execution.generations import GENERATIONS
from lfs_ray.execution.node_agreement import disagreements
from lfs_ray.execution.node_survey import alive_nodes, survey

PERIOD_S = 10.0


@contextlib.contextmanager
def watched_newcomers(
    admission: Admission, needed: Mapping[str, float], tell: Callable[[str], None]
) -> Iterator[None]:
    """Look for new nodes while this is entered, and tell each fault once.

    Args:
        admission: what a node must have.
        needed: what Ray reserves for a worker.
        tell: takes lines that the user should read; called from a thread.
    """
    watch, ended = _Watch(admission, needed, tell), threading.Event()

    def follow() -> None:
        while not ended.wait(PERIOD_S):
            # The cluster or the storage is busy or going: the next look, or the search, tells.
            with contextlib.suppress(RayError, RunError, OSError):
                watch.look()

    thread = threading.Thread(target=follow, name="newcomers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Watch:
    def __init__(
        self, admission: Admission, needed: Mapping[str, float], tell: Callable[[str], None]
    ) -> None:
        self._admission, self._needed, self._tell = admission, needed, tell
        self._known = {node["NodeID"] for node in alive_nodes()}

    def look(self) -> None:
        """Ask the nodes that are new since the last look."""
        new = [node for node in alive_nodes() if node["NodeID"] not in self._known]
        if not new:
            return
        admission, storage = self._admission, self._admission.storage
        start = f"{admission.generation:06d}-"
        name = next(one for one in storage.list(GENERATIONS) if one.startswith(start))
        place = f"{GENERATIONS}/{name}"
        paths = list(admission.driver["data"])
        views = survey(new, paths, storage, place, storage.read(place), self._needed)
        for line in disagreements(admission.driver, views, storage.path()):
            self._tell(f"{line}; its workers wait, the others go on")
        self._known |= {node["NodeID"] for node in new}
