"""Keys and labels of a list by position, in files that the processes of a machine share.

Data flow: list file -> here -> `face_set`. The index of a list is a table of three rows (start and
end of each key in the list, label), 24 bytes a line. It lies beside the list of a packed set; of
other long lists it is made once, in the user's cache (XDG_CACHE_HOME, else ~/.cache), under the
digest of the list's content. Table and list are memory-mapped: their pages belong to no process.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.list_parsing import parse_list
from lfs_ray.errors import DataError

_IN_MEMORY_BYTES = 1 << 22  # a list so short is parsed in less time than a file is looked up
_AT_ONCE = 1 << 12
_NO_TABLE = (OSError, ValueError, EOFError)

Table = NDArray[np.int64]


class KeyIndex:
    """Keys and labels of one list.

    Args:
        list_file: Path of the list.
        text: Its content.
        table_3N: Starts and ends of the keys in `text`, and labels; each row (N,).
        table_file: File to find the table in again, "" for a short list.
    """

    def __init__(
        self, list_file: str, text: bytes | mmap.mmap, table_3N: Table, table_file: str
    ) -> None:
        self.list_file = list_file
        self.table_file = table_file
        self._text = text
        self._starts, self._ends, labels = np.asarray(table_3N)
        self.labels: NDArray[np.int64] = labels
        """Label of each line as written, (N,); read-only."""

    def __len__(self) -> int:
        return len(self.labels)

    def encoded(self, index: int) -> bytes:
        """UTF-8 bytes of key `index`, which is 0 to N-1."""
        return self._text[int(self._starts[index]) : int(self._ends[index])]

    def each(self, indices: NDArray[np.integer]) -> Iterator[bytes]:
        """UTF-8 bytes of the keys at `indices`, in their order."""
        for first in range(0, len(indices), _AT_ONCE):
            some = indices[first : first + _AT_ONCE]
            ends = self._ends[some].tolist()
            for start, end in zip(self._starts[some].tolist(), ends, strict=True):
                yield self._text[start:end]

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.list_file, self.table_file, len(self))

    @classmethod
    def of_short_list(cls, list_file: str, text: bytes) -> Self:
        """Index in memory."""
        parts = list(parse_list(text, list_file))
        rows = [
            np.concatenate([np.empty(0, np.int64), *column])
            for column in zip(
                *((part.starts, part.ends, part.labels) for part in parts), strict=True
            )
        ]
        return cls(list_file, text, np.array(rows or np.empty((3, 0)), np.int64), "")


def open_index(list_file: str, table_file: str = "", made_of: str = "") -> KeyIndex:
    """Index of a list; of a long one without a table it is looked up, or made, in the cache.

    Args:
        list_file: List of `key label` lines.
        table_file: File of a table that lies ready, "" for none.
        made_of: SHA-256 of the list that this table was made of: where the list is another one by
            now, the table is not used.

    Raises:
        DataError: The list is missing or does not parse.
    """
    text = _mapped(list_file)
    if table_file and made_of == list_digest(text):
        with contextlib.suppress(*_NO_TABLE):
            return KeyIndex(list_file, text, _load(table_file), table_file)
    if len(text) <= _IN_MEMORY_BYTES:
        return KeyIndex.of_short_list(list_file, bytes(text))
    cached = _cache_folder() / f"{list_digest(text)}.npy"
    try:
        if not cached.is_file():
            write_table(list_file, cached)
        return KeyIndex(list_file, text, _load(cached), str(cached))
    except _NO_TABLE:  # no cache to write to: memory of this process
        return KeyIndex.of_short_list(list_file, bytes(text))


def list_digest(text: bytes | mmap.mmap) -> str:
    """SHA-256 of the content of a list, hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def _reopen(list_file: str, table_file: str, num_lines: int) -> KeyIndex:
    """The index of another process; a table in a file needs no second look."""
    text = _mapped(list_file)
    if table_file and os.path.isfile(table_file):
        index = KeyIndex(list_file, text, _load(table_file), table_file)
    else:
        index = open_index(list_file)
    if len(index) != num_lines:
        raise DataError(
            f"list {list_file} must stay as it is while it is used, it had {num_lines} images and "
            f"has {len(index)}: start again"
        )
    return index


def write_table(list_file: str | os.PathLike[str], table_file: Path) -> int:
    """Make the table of a list; the file appears whole or not at all, and only if there is none.

    Returns:
        The number of lines that are not empty.

    Raises:
        DataError: The list is missing or does not parse.
        OSError: The table cannot be written.
    """
    text = _mapped(list_file)
    table_file.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{table_file.name}.", dir=table_file.parent)
    os.close(number)
    try:
        num_lines = _write_parts(text, os.fspath(list_file), name)
        os.chmod(name, 0o644)
        _publish(name, table_file)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)
    return num_lines


def _publish(name: str, table_file: Path) -> None:
    """Give a table its name; one that another process made meanwhile stays, as its pages do."""
    try:
        os.link(name, table_file)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(name, table_file)


def _write_parts(text: bytes | mmap.mmap, list_file: str, name: str) -> int:
    """Write row after row of the table, in passes over parts kept in files: little memory."""
    num_lines = sum(len(part.labels) for part in parse_list(text, list_file))
    with open(name, "wb") as file:
        header = {"descr": "<i8", "fortran_order": False, "shape": (3, num_lines)}
        np.lib.format.write_array_header_1_0(file, header)
        first = file.tell()
        done = 0
        for part in parse_list(text, list_file):
            for row, values in enumerate((part.starts, part.ends, part.labels)):
                file.seek(first + 8 * (row * num_lines + done))
                file.write(values.astype("<i8").tobytes())
            done += len(part.labels)
        file.flush()
        os.fsync(file.fileno())
    return num_lines


def _load(table_file: str | os.PathLike[str]) -> Table:
    table: Table = np.load(table_file, mmap_mode="r", allow_pickle=False)
    if table.ndim != 2 or len(table) != 3 or table.dtype != np.dtype("<i8"):
        raise ValueError(f"{table_file} is no index")
    return table


def _mapped(list_file: str | os.PathLike[str]) -> bytes | mmap.mmap:
    try:
        with open(list_file, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise DataError(f"list {list_file} must be a readable file ({error})") from None


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lfs-ray", "lists")
