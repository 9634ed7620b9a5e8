"""Whether a shard lies on the disk as it was written.

Data flow: list and LMDB of a set that is being packed -> here, on a thread beside the writing one
-> nothing, or an error.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from lfs_ray.data.growing_lmdb import GrowingLmdb
from lfs_ray.data.list_parsing import BYTE_ORDER_MARK
from lfs_ray.data.shards import BLOCK_RECORDS, Shard, block_digest
from lfs_ray.errors import DataError


def read_back(shard: Shard, start: int, list_file: Path, database: GrowingLmdb) -> None:
    """Compare what is stored of a committed shard with its checksum.

    Args:
        shard: What was written.
        start: Place in the list, in bytes, where its lines begin.
        list_file: The list.
        database: The images.

    Raises:
        DataError: Something else is there, or nothing.
    """
    lines = _lines(list_file, start, shard.list_end)
    total = hashlib.sha256()
    for first in range(0, len(lines), BLOCK_RECORDS):
        some = lines[first : first + BLOCK_RECORDS]
        # A commit waits for readers: copied here, hashed outside.
        with database.reading() as value_of:
            values = b"".join([value_of(line.rpartition(b" ")[0]) or b"" for line in some])
        total.update(block_digest(b"".join(some), (values,)))
    if len(lines) != shard.images or total.hexdigest() != shard.sha256:
        raise DataError(
            f"images {shard.first} to {shard.first + shard.images - 1} were not read back as they "
            "were written: the disk or its driver lost data"
        )


def _lines(list_file: Path, start: int, end: int) -> list[bytes]:
    """Lines of a part of the list, their ends included."""
    with list_file.open("rb") as file:
        file.seek(start)
        text = file.read(end - start)
    text = text if start else text.removeprefix(BYTE_ORDER_MARK)
    return [line + b"\n" for line in text.split(b"\n")[:-1]]
