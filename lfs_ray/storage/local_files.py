"""Files of a local folder, or of a network disk that is mounted as one.

A file is written under a temporary sibling name and renamed, so that a name that exists is whole.
"""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from collections.abc import Sequence
from pathlib import Path

from lfs_ray.storage.inside import check_links

TEMPORARY = ".tmp-"
ABANDONED_AFTER_S = 3600.0
"""A temporary file that is so much older than its folder's last change is of a killed process."""


class LocalFiles:
    """A local folder; errors are those of the system.

    Args:
        root: its absolute path.
        fsync: flush file and folder to the disk before a write counts as done.
    """

    def __init__(self, root: str, *, fsync: bool) -> None:
        self.root = root
        self.fsync = fsync

    def read(self, name: str) -> bytes:
        """Whole content."""
        return self._at(name).read_bytes()

    def write(self, name: str, parts: Sequence[memoryview]) -> None:
        """Write one file."""
        path = self._at(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            with open(temporary, "wb") as stream:
                for part in parts:
                    stream.write(part)
                if self.fsync:
                    stream.flush()
                    os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if self.fsync:
            _sync_folder(path.parent)

    def exists(self, name: str) -> bool:
        """Whether a file or folder is there."""
        return self._stat(name) is not None

    def size(self, name: str) -> int | None:
        """Size of a file, bytes."""
        found = self._stat(name)
        return found.st_size if found and stat.S_ISREG(found.st_mode) else None

    def list(self, folder: str) -> list[str]:
        """Names in a folder, [] where there is none."""
        try:
            return os.listdir(self._at(folder))
        except FileNotFoundError:
            return []

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._at(name).unlink()

    def sweep(self, folder: str) -> None:
        """Remove what killed processes began to write in a folder long ago."""
        place = self._at(folder)
        # Both times are the disk's: the clocks of the machines that share it may differ.
        changed_s = place.stat().st_mtime if place.exists() else 0.0
        for path in place.glob(f"{TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):
                if changed_s - path.stat().st_mtime > ABANDONED_AFTER_S:
                    path.unlink()

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(self._at(name))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _at(self, name: str) -> Path:
        check_links(self.root, name)
        return Path(self.root, name)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
