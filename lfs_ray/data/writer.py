"""Write a packed data set from records at hand; one directory that appears whole.

Data flow: (key, encoded image, label) records, from `synthetic` say -> here -> `packed_writer` ->
a directory that `sources` opens. Sources that take long are packed by `pack`, which can be
continued.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import lmdb

from lfs_ray.data.packed_files import check_class_names
from lfs_ray.data.packed_writer import PackedWriter, forget_books
from lfs_ray.data.packing.source import Record
from lfs_ray.data.shards import BLOCK_RECORDS, as_block, cut_shards
from lfs_ray.errors import DataError

__all__ = ["Record", "refuse_existing", "whole_directory", "write_packed"]


def write_packed(
    dst: str | os.PathLike[str],
    records: Iterable[Record | tuple[str, bytes, int]],
    *,
    class_names: Sequence[str],
    source: Mapping[str, object],
) -> dict[str, object]:
    """Write a packed data set and check what was written.

    Everything is written to a hidden sibling directory, read back, then renamed: `dst` exists
    whole or not at all, also when the records raise.

    Args:
        dst: Directory to make; it must not exist yet.
        records: (key, encoded image, label) triples, in the order of the list.
        class_names: Name of each class; every class must have an image.
        source: What the set was made from; goes into the manifest as it is.

    Returns:
        The manifest.

    Raises:
        DataError: `dst` exists; a key is unusable or comes twice; a class is empty; bytes are no
            image.
    """
    check_class_names(class_names)
    with whole_directory(dst) as folder:
        rows = (Record(*record) for record in records)
        parts = iter(lambda: list(islice(rows, BLOCK_RECORDS)), [])
        try:
            with PackedWriter(folder, durable=False) as writer:
                for shard in cut_shards(as_block(part, len(class_names)) for part in parts):
                    writer.add(shard)
                manifest = writer.finish(class_names, source)
        except (OSError, lmdb.Error) as error:
            raise DataError(f"{os.fspath(dst)} cannot be written ({error})") from None
        forget_books(folder)
    return manifest


def refuse_existing(dst: str | os.PathLike[str]) -> None:
    """Raise DataError when `dst` exists: directories are never overwritten."""
    if os.path.lexists(dst):
        raise DataError(
            f"what is written must be a new directory, {os.fspath(dst)} exists: remove it or "
            "choose another name"
        )


@contextmanager
def whole_directory(dst: str | os.PathLike[str]) -> Iterator[Path]:
    """A new directory beside `dst` that becomes `dst` at the end, or vanishes after an error.

    Raises:
        DataError: `dst` exists, or its parent cannot be written.
    """
    refuse_existing(dst)
    target = Path(dst)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{target.name}.unfinished-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    except OSError as error:
        raise DataError(f"{target.parent} must be a writable directory ({error})") from None
    try:
        folder.chmod(0o755)
        yield folder
        try:
            os.rename(folder, target)
        except OSError:
            refuse_existing(dst)  # another process was faster
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
