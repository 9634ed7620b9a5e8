"""Images of Parquet files by row number, in bounded memory.

Data flow: row groups -> here -> `parquet`. A row group is decoded from its first row to the rows
asked for, and goes on from there when the next ones are asked for: neighbouring rows cost one
pass, also when several threads ask for them a little out of order.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lfs_ray.errors import DataError

UNREADABLE = (OSError, ValueError, KeyError, pa.ArrowException)
"""What pyarrow raises for a damaged file; names of columns, say, that are no UTF-8."""
_ROWS_AT_ONCE = 64
_OPEN_GROUPS = 4
_KEPT_BYTES = 1 << 26
_BUFFER_BYTES = 1 << 20


class ImageRows:
    """Images of a column (of bytes; a field of a struct as `struct.field`), over all files."""

    def __init__(self, files: Sequence[Path], column: str) -> None:
        self._column = column
        rows: list[int] = []
        self._groups: list[tuple[Path, int, int]] = []  # file, group, its first row in the file
        for file in files:
            try:
                metadata = pq.read_metadata(file)
            except UNREADABLE as error:
                raise unreadable(file, error) from None
            first = 0
            for group in range(metadata.num_row_groups):
                self._groups.append((file, group, first))
                rows.append(metadata.row_group(group).num_rows)
                first += rows[-1]
        self._ends = np.cumsum(np.array(rows, np.int64))
        self._open: OrderedDict[int, _OpenGroup] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, start: int, stop: int) -> list[bytes]:
        """Images of rows start to stop-1.

        Raises:
            DataError: A row has no image, or a file cannot be read; names file and row.
        """
        images: list[bytes] = []
        while start < stop:
            place = int(np.searchsorted(self._ends, start, side="right"))
            first = int(self._ends[place - 1]) if place else 0
            end = min(stop, int(self._ends[place]))
            images += self._group(place).read(start - first, end - first)
            start = end
        return images

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _group(self, place: int) -> _OpenGroup:
        with self._lock:
            if place not in self._open:
                self._open[place] = _OpenGroup(*self._groups[place], self._column)
                if len(self._open) > _OPEN_GROUPS:
                    self._open.popitem(last=False)
            self._open.move_to_end(place)
            return self._open[place]


class _OpenGroup:
    """A row group that is being decoded, and the last of what was decoded."""

    def __init__(self, file: Path, group: int, first_row: int, column: str) -> None:
        self._file = file
        self._group = group
        self._first_row = first_row
        self._column = column
        self._lock = threading.Lock()
        self._restart()

    def read(self, start: int, stop: int) -> list[bytes]:
        """Images of rows start to stop-1 of the group."""
        with self._lock:
            try:
                if start < self._begin:
                    self._restart()
                while self._end < stop:
                    self._decode(keep_from=start)
            except (*UNREADABLE, StopIteration) as error:
                raise unreadable(self._file, error) from None
            return self._images(start, stop)

    def _restart(self) -> None:
        self._batches = self._decoder()
        self._held: deque[pa.Array] = deque()
        self._begin = self._end = self._held_bytes = 0

    def _decoder(self) -> Iterator[pa.Array]:
        # Without pre_buffer the group is read piece by piece, not as a whole.
        with pq.ParquetFile(self._file, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            for batch in file.iter_batches(
                _ROWS_AT_ONCE, row_groups=[self._group], columns=[self._column], use_threads=False
            ):
                column = batch.column(0)
                yield column.field(0) if pa.types.is_struct(column.type) else column

    def _decode(self, keep_from: int) -> None:
        """Decode the next rows; forget the first held ones, but none from `keep_from` on."""
        batch = next(self._batches)
        self._held.append(batch)
        self._end += len(batch)
        self._held_bytes += batch.nbytes
        while self._held_bytes > _KEPT_BYTES and self._begin + len(self._held[0]) <= keep_from:
            oldest = self._held.popleft()
            self._begin += len(oldest)
            self._held_bytes -= oldest.nbytes

    def _images(self, start: int, stop: int) -> list[bytes]:
        """Rows start to stop-1, all of them held; those decoded last are looked at first."""
        parts: list[list[bytes | None]] = []
        end = self._end
        for batch in reversed(self._held):
            begin = end - len(batch)
            if begin < stop:
                parts.append(batch[max(start - begin, 0) : stop - begin].to_pylist())
            if begin <= start:
                break
            end = begin
        images = [image for part in reversed(parts) for image in part]
        if None in images:
            row = self._first_row + start + images.index(None)
            raise DataError(
                f"{self._file} row {row} must hold an image in column {self._column}, it has none"
            )
        return [image for image in images if image is not None]


def unreadable(file: Path, error: Exception) -> DataError:
    """What to raise for one of `UNREADABLE`, in one line."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{file} must be a whole Parquet file, it cannot be read ({reason})")
