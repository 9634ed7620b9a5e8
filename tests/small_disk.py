"""A disk of a few hundred KiB: a real one (tmpfs) where mounting is allowed, else a played one."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from lfs_ray.storage import local_files


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, free_bytes: int) -> None:
        """Fill it up to so many free bytes."""
        found = os.statvfs(self.folder)
        filler = max(found.f_bavail * found.f_frsize - free_bytes, 0)
        (self.folder / "filler").write_bytes(b"x" * filler)

    def make_room(self) -> None:
        """Remove what fills it."""
        (self.folder / "filler").unlink()

    def set_writable(self, writable: bool) -> None:
        """Mount it for reading only, or for writing again."""
        mode = "rw" if writable else "ro"
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.folder)], check=True)


class PlayedDisk(SmallDisk):
    """The same where nothing can be mounted: files are opened through this."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.free_bytes, self.writable = 2**40, True
        patch.setattr(local_files, "open", self._open, raising=False)

    def leave(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes

    def make_room(self) -> None:
        self.free_bytes = 2**40

    def set_writable(self, writable: bool) -> None:
        self.writable = writable

    def _open(self, path: Path, mode: str) -> _Bounded:
        if not self.writable:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return _Bounded(path.open(mode), self)


class _Bounded:
    """A file that takes what the disk has room for."""

    def __init__(self, stream: BinaryIO, disk: PlayedDisk) -> None:
        self._stream, self._disk = stream, disk

    def __enter__(self) -> _Bounded:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def write(self, part: bytes) -> None:
        self._disk.free_bytes -= len(part)
        if self._disk.free_bytes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._stream.write(part)


@contextmanager
def small_disk(folder: Path, patch: pytest.MonkeyPatch, *, real: bool) -> Iterator[SmallDisk]:
    """A disk; a real one where that is asked for and the system lets us mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if real and subprocess.run(command, capture_output=True, check=False).returncode == 0:
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    else:
        yield PlayedDisk(folder, patch)
