"""Named points of a search at which a process ends itself, and how they are armed.

A trap is a file in a folder on the local disk. The process that comes to its point first takes
it by a rename, writes down who it is and when, and does the deed. No hook in lfs_ray: the points
are names of files that are written or deleted (`chaos_storage`).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DEEDS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "note": 0}
"""What the process does to itself; `note`: nothing, it is only written down."""
DEATHS = (-signal.SIGKILL, -signal.SIGXFSZ)
"""Exit codes of processes that ended at a point."""


class WritePoints(NamedTuple):
    """Points of writing one file; empty: none."""

    before: str = ""
    half: str = ""
    """Half of the temporary file is on the disk."""
    after: str = ""


WRITES = {
    r"checkpoints/round-": WritePoints("reward-reported", "checkpoint-half", "stored-unconfirmed"),
    r"journal/round-": WritePoints(before="journal-before", after="journal-after"),
    r"trials/round-": WritePoints("commit-before", "commit-half", "commit-after"),
    r"trials/rounds-": WritePoints(half="compaction-half", after="compaction-written"),
    r"^generations/": WritePoints(after="generation"),
    r"/model\.safetensors$": WritePoints(half="results"),
}
DELETES = {r"trials/": "compaction-deleting", r"checkpoints/": "tidy"}
POINTS = (*(name for points in WRITES.values() for name in points if name), *DELETES.values())


def write_points(name: str) -> WritePoints:
    """The points of writing the file `name` of a run."""
    found = (points for pattern, points in WRITES.items() if re.search(pattern, name))
    return next(found, WritePoints())


def delete_point(name: str) -> str:
    """The point after deleting the file `name` of a run; empty: none."""
    return next((point for pattern, point in DELETES.items() if re.search(pattern, name)), "")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A trap that was taken."""

    point: str
    pid: int
    time_s: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Traps:
    """The traps of a run."""

    folder: str

    def arm(self, point: str, deed: str = "kill") -> None:
        """Set one trap."""
        assert point in POINTS, point
        for name in ("armed", "taken", "hit"):
            Path(self.folder, name).mkdir(parents=True, exist_ok=True)
        Path(self.folder, "armed", point).write_text(deed)

    def disarm(self, point: str) -> bool:
        """Take a trap back; False: somebody was faster."""
        return self._take(point) is not None

    def spring(self, point: str) -> None:
        """Do the deed where this point is armed."""
        taken = self._take(point) if point else None
        if taken is not None:
            self._note(point, taken)
            os.kill(os.getpid(), DEEDS[taken.read_text()])

    def spring_within(self, point: str, size_bytes: int) -> None:
        """The same after the next so many bytes that the process writes to a file.

        The kernel ends a process at its limit of file size as suddenly as by SIGKILL, in the
        middle of a write.
        """
        taken = self._take(point) if point else None
        if taken is None:
            return
        self._note(point, taken)
        # Python ignores the signal and sets handlers in its main thread only.
        ctypes.CDLL(None).signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    def hits(self) -> list[Hit]:
        """What was taken so far, in order of time."""
        notes = Path(self.folder, "hit").glob("*.json")
        found = [Hit(**json.loads(note.read_text())) for note in notes]
        return sorted(found, key=lambda hit: hit.time_s)

    def _take(self, point: str) -> Path | None:
        taken = Path(self.folder, "taken", f"{point}~{uuid.uuid4().hex}")
        try:
            os.rename(Path(self.folder, "armed", point), taken)
        except FileNotFoundError:
            return None
        return taken

    def _note(self, point: str, taken: Path) -> None:
        note = {"point": point, "pid": os.getpid(), "time_s": time.time()}
        unfinished = taken.with_suffix(".note")
        unfinished.write_text(json.dumps(note))
        os.replace(unfinished, Path(self.folder, "hit", f"{taken.name}.json"))
