"""The storage of a run that is under fire: a process that writes a file may end at its points."""

from __future__ import annotations

import os

from traps import Traps, delete_point, write_points

from lfs_ray.storage import Buffer, Storage
from lfs_ray.storage.run_folder import RETRY_S


class ChaosStorage(Storage):
    """A local folder with traps; travels to Ray's workers.

    Args:
        url: local path.
        traps: what may happen.
        fsync, retry_s: as for `Storage`.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        traps: Traps,
        fsync: bool = True,
        retry_s: float = RETRY_S,
    ) -> None:
        super().__init__(url, fsync=fsync, retry_s=retry_s)
        self.traps = traps

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path(), self.fsync, self.patience.limit_s, self.traps)

    def write(self, name: str, *parts: Buffer) -> int:
        """Write, or end before it, in the middle of it or after it."""
        points = write_points(name)
        self.traps.spring(points.before)
        half_bytes = sum(memoryview(part).nbytes for part in parts) // 2
        self.traps.spring_within(points.half, half_bytes)
        size_bytes = super().write(name, *parts)
        self.traps.spring(points.after)
        return size_bytes

    def delete(self, name: str) -> None:
        """Delete, and perhaps end before the next file is."""
        super().delete(name)
        self.traps.spring(delete_point(name))


def _reopen(url: str, fsync: bool, retry_s: float, traps: Traps) -> ChaosStorage:
    return ChaosStorage(url, fsync=fsync, retry_s=retry_s, traps=traps)
