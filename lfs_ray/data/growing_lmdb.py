"""LMDB that is being written: one transaction a shard, grown when its map is full.

Data flow: blocks of a shard -> here -> data.lmdb; and back, for verification, on another thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import lmdb

from lfs_ray.data.shards import Block
from lfs_ray.errors import DataError

_FIRST_MAP_BYTES = 1 << 30
_LOCK_BYTES = 1 << 14


class GrowingLmdb:
    """LMDB file open for one writing thread and one reading thread of this process.

    Args:
        file: The LMDB; made where there is none, continued where there is one.
        durable: Whether a committed shard must outlast a loss of power, not only of the process.

    Raises:
        OSError, lmdb.Error: The disk is full, or cannot be written.
    """

    def __init__(self, file: Path, *, durable: bool) -> None:
        self._lock_file = Path(f"{file}-lock")
        # Nobody else has this file open: slots of a reader that was killed are forgotten.
        self._lock_file.unlink(missing_ok=True)
        _make_lock_file(self._lock_file)
        size = max(_FIRST_MAP_BYTES, file.stat().st_size if file.exists() else 0)
        self._env: lmdb.Environment = lmdb.open(
            os.fspath(file), subdir=False, map_size=size, sync=durable, max_spare_txns=2
        )
        self._durable = durable
        self._closed = False
        # A map can only grow while nobody reads.
        self._reading = threading.Lock()

    def __len__(self) -> int:
        return int(self._env.stat()["entries"])

    def put(self, blocks: Sequence[Block]) -> None:
        """Store the images of blocks, all or none.

        Raises:
            DataError: A key comes twice, or was there before.
            lmdb.Error: The file cannot be written.
        """
        while True:
            try:
                self._put_once(blocks)
                return
            except lmdb.MapFullError:
                with self._reading:
                    self._env.set_mapsize(2 * self._env.info()["map_size"])

    def _put_once(self, blocks: Sequence[Block]) -> None:
        with self._env.begin(write=True) as txn, txn.cursor() as cursor:
            for block in blocks:
                rows = list(zip(block.keys, block.values, strict=True))
                _, added = cursor.putmulti(rows, overwrite=False)
                if added < len(rows):
                    txn.abort()
                    break
            else:
                return
        raise DataError(f'keys must be unique, "{self._repeat(blocks)}" comes twice')

    def _repeat(self, blocks: Sequence[Block]) -> str:
        """First key of some blocks that is stored already, or stands in them before."""
        seen: set[bytes] = set()
        with self._env.begin() as txn:
            for key in chain.from_iterable(block.keys for block in blocks):
                if key in seen or txn.get(key) is not None:
                    return key.decode()
                seen.add(key)
        return "?"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Callable[[bytes], memoryview | None]]:
        """Function from a key to its value, not copied, that ends with the context."""
        with self._reading, self._env.begin(buffers=True) as txn:
            yield txn.get

    def close(self) -> None:
        """Write what is not on disk yet, and close."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._durable:
                self._env.sync(True)
        finally:
            self._env.close()
            with contextlib.suppress(OSError):
                self._lock_file.unlink()


def _make_lock_file(file: Path) -> None:
    """A lock file whose blocks are on the disk; LMDB takes it as it is.

    LMDB maps it into memory, where a full disk would kill the process (SIGBUS).
    """
    number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(number, 0, _LOCK_BYTES)
    finally:
        os.close(number)
