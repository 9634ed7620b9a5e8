"""A packed data set that is being written, shard by shard, and read back while it grows.

Data flow: shards of blocks -> here -> the files of `packed_files` in a folder of one's own. Per
shard, in this order: lines of the list, a row of the journal, one LMDB transaction. The number of
entries in the LMDB so tells which row of the journal is the last that counts, wherever a writer
was killed.

Images go into the open transaction block by block, on the thread that brings them, so that their
memory is used again while the processor still has it at hand. Waiting for the disk is for another
thread: meanwhile the blocks of the next shard are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.growing_lmdb import GrowingLmdb
from lfs_ray.data.key_index import open_index, write_table
from lfs_ray.data.list_parsing import BYTE_ORDER_MARK
from lfs_ray.data.packed_files import (
    DECODED_SAMPLE,
    INDEX_NAME,
    LABELS_NAME,
    LIST_NAME,
    LMDB_NAME,
    MANIFEST_NAME,
    manifest_of,
    write_labels,
    write_manifest,
)
from lfs_ray.data.read_back import read_back
from lfs_ray.data.shards import Block, Shard, ShardTotal
from lfs_ray.data.store import LmdbStore
from lfs_ray.errors import DataError

BOOKS_NAME = ".packing"
_JOURNAL_NAME = "shards.jsonl"


class PackedWriter:
    """Writer of one packed set; a context manager that stops its threads and closes its files.

    Args:
        folder: Directory of the files, of this writer alone; may hold what a killed one left.
        durable: Whether whole shards must outlast a loss of power.

    Raises:
        DataError: What is there cannot be continued.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder = folder
        self._durable = durable
        books = folder / BOOKS_NAME
        books.mkdir(exist_ok=True)
        self._lmdb = GrowingLmdb(folder / LMDB_NAME, durable=durable)
        self._list = _opened(folder / LIST_NAME)
        self._journal = _opened(books / _JOURNAL_NAME)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._storing: Future[Shard] | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="verify")
        self._checks: list[Future[None]] = []
        self.shards: list[Shard] = []
        try:
            self._continue()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def num_images(self) -> int:
        """Images of whole shards."""
        return self.shards[-1].first + self.shards[-1].images if self.shards else 0

    @property
    def _list_end(self) -> int:
        return self.shards[-1].list_end if self.shards else 0

    def add(self, blocks: Iterable[Block]) -> None:
        """Take the blocks of a shard; it is whole on disk, and read back, soon after.

        Raises:
            DataError: A key comes twice, or an earlier shard was not read back as written.
            OSError, lmdb.Error: The disk is full, or cannot be written.
        """
        total = ShardTotal()
        waiting: list[Block] = []
        for block in blocks:
            total.add(block)
            waiting.append(block)
            if self._storing is None or self._storing.done():
                self._settle()
                self._lmdb.put(waiting)
                waiting.clear()
        self._settle()
        if waiting:
            self._lmdb.put(waiting)
        self._storing = self._disk.submit(self._store, total, self.num_images, self._list_end)

    def _store(self, total: ShardTotal, first: int, start: int) -> Shard:
        """Have a shard on disk, the transaction last: it says that all the rest is there."""
        lines = total.lines()
        # The reader of a list takes off one byte order mark.
        mark = BYTE_ORDER_MARK if not start and lines[:3] == BYTE_ORDER_MARK else b""
        shard = total.shard(first, start + len(mark))
        self._append(self._list, mark + lines)
        self._append(self._journal, json.dumps(shard.as_json()).encode() + b"\n")
        self._lmdb.commit()
        return shard

    def _settle(self) -> None:
        """Wait until the shard that is being stored is on disk; errors of earlier ones."""
        if self._storing is not None:
            shard, start = self._storing.result(), self._list_end
            self._storing = None  # not before: an interrupt may come while this waits
            self.shards.append(shard)
            self._check_later(shard, start)
        for check in [check for check in self._checks if check.done()]:
            check.result()
            self._checks.remove(check)

    def finish(
        self,
        class_names: Sequence[str],
        source: Mapping[str, object],
        changed: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """Verify what was written, write the other files, close; only `BOOKS_NAME` is left over.

        Raises:
            DataError: No class, a class without images, or a shard that was not read back as it
                was written.
            OSError, lmdb.Error: The disk is full, or cannot be written.
        """
        self._settle()
        list_file, table_file = self._folder / LIST_NAME, self._folder / INDEX_NAME
        num_lines = write_table(list_file, table_file)
        for check in self._checks:
            check.result()
        self._checks.clear()
        if not num_lines == len(self._lmdb) == self.num_images:
            raise DataError(
                f"wrote {self.num_images} images, but read back {len(self._lmdb)} entries and "
                f"{num_lines} lines: the disk or its driver lost data"
            )
        with list_file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        index = open_index(str(list_file), str(table_file), digest)
        counts = np.bincount(index.labels, minlength=len(class_names))
        _check_classes(class_names, counts)
        manifest = manifest_of(
            self.shards, counts, source=source, changed=changed, list_sha256=digest
        )
        write_labels(self._folder, class_names)
        write_manifest(self._folder, manifest)
        self._close()
        store = LmdbStore(self._folder / LMDB_NAME)
        for place in range(0, len(index), max(1, len(index) // DECODED_SAMPLE)):
            store.image(index.encoded(place).decode())
        if self._durable:
            # The others are on disk already.
            sync_files(self._folder / LABELS_NAME, self._folder / MANIFEST_NAME, self._folder)
        return manifest

    def _continue(self) -> None:
        """Go back to the last whole shard: cut off what a killed writer began."""
        for index in (*self._folder.glob(f".{INDEX_NAME}.*"), self._folder / INDEX_NAME):
            index.unlink(missing_ok=True)
        rows = self._journal.read().split(b"\n")[:-1]
        ends = np.cumsum([len(row) + 1 for row in rows])
        stored = len(self._lmdb)
        for row in rows:
            if self.num_images == stored:
                break
            try:
                self.shards.append(Shard.from_json(json.loads(row)))
            except (ValueError, TypeError, KeyError, AttributeError):
                break
        list_end = self._list_end
        if self.num_images != stored or os.fstat(self._list.fileno()).st_size < list_end:
            raise DataError(
                f"{self._folder} must hold what an interrupted packing left, its files do not fit "
                f"together ({stored} images stored, {self.num_images} in the journal): give "
                "--restart to begin again"
            )
        _cut(self._journal, int(ends[len(self.shards) - 1]) if self.shards else 0)
        _cut(self._list, list_end)
        start = 0
        for shard in self.shards:
            self._check_later(shard, start)
            start = shard.list_end

    def _check_later(self, shard: Shard, start: int) -> None:
        list_file = self._folder / LIST_NAME
        self._checks.append(self._reader.submit(read_back, shard, start, list_file, self._lmdb))

    def _append(self, file: BinaryIO, content: bytes) -> None:
        file.write(content)
        file.flush()
        if self._durable:
            os.fsync(file.fileno())

    def _close(self) -> None:
        with suppress(Exception):  # `finish` has settled: what led here else is raised already
            self._settle()
        self._disk.shutdown(wait=True)
        self._reader.shutdown(wait=True, cancel_futures=True)
        for file in (self._list, self._journal):
            file.close()
        self._lmdb.close()


def forget_books(folder: Path) -> None:
    """Remove what only a writer needs."""
    shutil.rmtree(folder / BOOKS_NAME, ignore_errors=True)


def _opened(file: Path) -> BinaryIO:
    """File open for reading and writing; made where there is none."""
    return open(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b")


def _cut(file: BinaryIO, size: int) -> None:
    file.truncate(size)
    file.seek(size)


def _check_classes(class_names: Sequence[str], images_of_class: NDArray[np.int64]) -> None:
    if not images_of_class.all():
        name = class_names[int(np.flatnonzero(images_of_class == 0)[0])]
        raise DataError(f'every class must have an image, class "{name}" has none')


def sync_files(*places: Path) -> None:
    """Have files, and the names in folders, outlast a loss of power."""
    for place in places:
        number = os.open(place, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
