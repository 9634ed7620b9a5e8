"""LMDB that is being written: one transaction a shard, grown when its map is full.

Data flow: blocks of a shard, as they come -> here -> data.lmdb; and back, for verification, on
another thread.

LMDB's own locks are off. They would bind a transaction to one thread, and it is filled by the
thread that reads images and committed by one that waits for the disk; the directory is locked by
`unfinished` anyway. What LMDB asks of a program without its locks is kept by one lock of ours:
nobody reads while a transaction begins or is committed, so no reader sees a page being replaced.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lmdb

from lfs_ray.data.shards import Block
from lfs_ray.errors import DataError

_FIRST_MAP_BYTES = 1 << 30
# Pages that storing a record may take besides those of its bytes: the last one is not full, and a
# page of each level of the tree is copied or split. More than it ever takes: growing is cheap.
_PAGES_PER_RECORD = 10
_PAGES_OF_BOOKS = 256


class GrowingLmdb:
    """LMDB file open for one writing thread at a time and one reading thread of this process.

    Args:
        file: The LMDB; made where there is none, continued where there is one.
        durable: Whether a committed shard must outlast a loss of power, not only of the process.

    Raises:
        OSError, lmdb.Error: The disk is full, or cannot be written.
    """

    def __init__(self, file: Path, *, durable: bool) -> None:
        # Earlier versions made one, which a killed writer left.
        Path(f"{file}-lock").unlink(missing_ok=True)
        size = max(_FIRST_MAP_BYTES, file.stat().st_size if file.exists() else 0)
        self._env: lmdb.Environment = lmdb.open(
            os.fspath(file),
            subdir=False,
            map_size=size,
            sync=durable,
            lock=False,
            max_spare_txns=2,
        )
        self._durable = durable
        self._closed = False
        self._reading = threading.Lock()
        self._open: lmdb.Transaction | None = None
        self._open_keys: list[bytes] = []
        self._pages_left = 0
        self._page_bytes = int(self._env.stat()["psize"])

    def __len__(self) -> int:
        return int(self._env.stat()["entries"])

    def put(self, blocks: Sequence[Block]) -> None:
        """Store the images of blocks with the next commit.

        Raises:
            DataError: A key comes twice, or was there before; nothing since the last commit is
                stored.
            lmdb.Error: The file cannot be written.
        """
        txn = self._with_room(blocks)
        for block in blocks:
            rows = zip(block.keys, block.values, strict=True)
            with txn.cursor() as cursor:
                _, added = cursor.putmulti(rows, overwrite=False)
            if added < len(block.keys):
                self._abort()
                raise DataError(f'keys must be unique, "{self._repeat(block)}" comes twice')
            self._open_keys += block.keys

    def commit(self) -> None:
        """Make what was put since the last commit part of the file, all or none.

        Raises:
            lmdb.Error: The file cannot be written.
        """
        txn, self._open = self._open, None
        self._open_keys = []
        if txn is not None:
            with self._reading:
                txn.commit()

    def _with_room(self, blocks: Sequence[Block]) -> lmdb.Transaction:
        """The open transaction, in a map that has room for some blocks."""
        num_bytes = sum(sum(map(len, block.values)) for block in blocks)
        needed = self._pages(num_bytes, sum(len(block.keys) for block in blocks))
        txn = self._open or self._begin()
        if needed > self._pages_left:
            txn = self._grow(txn, needed)
        self._pages_left -= needed
        return txn

    def _begin(self) -> lmdb.Transaction:
        with self._reading:
            self._open = self._env.begin(write=True)
        self._pages_left = self._pages_free(self._env.info()["map_size"])
        return self._open

    def _grow(self, txn: lmdb.Transaction, needed: int) -> lmdb.Transaction:
        """A map can't grow under a transaction: what it holds is taken out and put again."""
        held = [(key, bytes(txn.get(key, b""))) for key in self._open_keys]
        txn.abort()
        held_pages = self._pages(sum(len(value) for _, value in held), len(held))
        size = self._env.info()["map_size"]
        while self._pages_free(size) < held_pages + needed:
            size *= 2
        with self._reading:
            self._env.set_mapsize(size)
        txn = self._begin()
        with txn.cursor() as cursor:
            cursor.putmulti(held)
        self._pages_left -= held_pages
        return txn

    def _pages(self, num_bytes: int, num_records: int) -> int:
        return num_bytes // self._page_bytes + _PAGES_PER_RECORD * num_records

    def _pages_free(self, map_bytes: int) -> int:
        used = int(self._env.info()["last_pgno"]) + 1 + _PAGES_OF_BOOKS
        return map_bytes // self._page_bytes - used

    def _repeat(self, block: Block) -> str:
        """First key of a block that is stored already, or was put before it or in it."""
        seen = set(self._open_keys)
        with self._env.begin() as txn:
            for key in block.keys:
                if key in seen or txn.get(key) is not None:
                    return key.decode()
                seen.add(key)
        return "?"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Callable[[bytes], memoryview | None]]:
        """Function from a key to its committed value, not copied, that ends with the context."""
        with self._reading, self._env.begin(buffers=True) as txn:
            yield txn.get

    def close(self) -> None:
        """Write what is not on disk yet, and close; what is not committed is dropped."""
        if self._closed:
            return
        self._closed = True
        try:
            self._abort()
            if not self._durable:
                self._env.sync(True)
        finally:
            self._env.close()

    def _abort(self) -> None:
        if self._open is not None:
            self._open.abort()
            self._open = None
