"""Frames of a RecordIO file: where each record begins and ends, and the payload inside.

Data flow: `.rec` and `.idx` files -> here -> table of frames -> `record_labels`, `recordio`.
Layout, little endian: u32 magic; u32 of 3 bits part flag (0 whole, 1 first, 2 middle, 3 last) and
29 bits length; payload; zeros to a multiple of 4. The writer cuts a payload where the magic itself
stands at a multiple of 4, and leaves it out; it is put back here. Format: dmlc-core, recordio.h.
"""

from __future__ import annotations

import mmap
import re
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from lfs_ray.errors import DataError

OTHER_INDEX = "take the .idx that belongs to the file, or remove it to have the file read through"
MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_HEAD = struct.Struct("<II")
LENGTH_MASK = (1 << 29) - 1
_FIRST_PART, _LAST_PART = 1, 3
_AT_ONCE = 1 << 20
_INDEX_LINE = re.compile(rb"\d{1,18}\t\d{1,18}\r?")


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Records of one file, sorted by key."""

    path: Path
    indexed: bool
    """Whether keys come from an `.idx` file; else they count the records of the file from 0."""
    keys: NDArray[np.int64]
    """Key of each record, ascending, (N,)."""
    starts: NDArray[np.int64]
    """Byte each record begins at, (N,)."""
    sizes: NDArray[np.int64]
    """Bytes of each record with heads and padding, (N,)."""
    cut: NDArray[np.bool_]
    """Whether the record is in several parts, (N,)."""

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: NDArray[np.int64]) -> Frames:
        """Some of the records, in the order of `rows`."""
        keys, starts, sizes = (part[rows] for part in (self.keys, self.starts, self.sizes))
        return Frames(self.path, self.indexed, keys, starts, sizes, self.cut[rows])

    def place(self, row: int) -> str:
        """Where record `row` stands, for messages."""
        return f"{self.path} key {self.keys[row]} at byte {self.starts[row]}"


def read_frames(path: Path) -> Frames:
    """Find and check all records of a `.rec` file by its `.idx`, or by going through it.

    Every head is looked at: the magic, the parts, that records follow each other without a gap
    from the first byte to the last.

    Raises:
        DataError: Not RecordIO, cut off, or an `.idx` that does not fit; names file, key, byte.
    """
    words = mapped_words(path)
    index = path.with_suffix(".idx")
    indexed = index.is_file()
    if indexed:
        keys, starts = _read_index(index)
    else:
        starts = _scan(path)
        keys = np.arange(len(starts))
    frames = Frames(path, indexed, keys, starts, np.zeros_like(starts), np.zeros(len(keys), bool))
    size_bytes = path.stat().st_size
    for begin in range(0, len(frames), _AT_ONCE):
        _measure(frames, slice(begin, begin + _AT_ONCE), words, size_bytes)
    _check_gapless(frames, size_bytes)
    return frames


def payload_of(frame: bytes) -> bytes:
    """Payload of a record of one or several parts, the magic put back between them."""
    parts: list[bytes] = []
    position = 0
    while position < len(frame):
        _, mark = _HEAD.unpack_from(frame, position)
        length = mark & LENGTH_MASK
        parts.append(frame[position + 8 : position + 8 + length])
        position += 8 + _padded(length)
    return _MAGIC_BYTES.join(parts)


def mapped_words(path: Path) -> NDArray[np.uint32]:
    """Words of the file; they are read from disk when they are looked at."""
    try:
        if path.stat().st_size < _HEAD.size:
            raise DataError(f"{path} must hold a record, it has {path.stat().st_size} bytes")
        words: NDArray[np.uint32] = np.memmap(path, "<u4", "r", shape=(path.stat().st_size // 4,))
    except OSError as error:
        raise DataError(f"{path} must be a readable file ({error.strerror})") from None
    if words[0] != MAGIC:
        raise DataError(
            f"{path} must be a RecordIO file, it begins with {words[0]:#x} in place of {MAGIC:#x}"
        )
    return words


def _measure(frames: Frames, rows: slice, words: NDArray[np.uint32], size_bytes: int) -> None:
    """Fill in sizes and parts of some records."""
    starts = frames.starts[rows]

    def refuse(wrong: NDArray[np.bool_], reason: str) -> None:
        if wrong.any():
            row = rows.start + int(np.flatnonzero(wrong)[0])
            raise DataError(f"{frames.place(row)} {reason}")

    outside = (starts < 0) | (starts + _HEAD.size > size_bytes)
    refuse(outside, f"is past the end of the file, which has {size_bytes} bytes: copy it again")
    refuse(starts % 4 != 0, f"is no record, records begin at multiples of 4: {OTHER_INDEX}")
    refuse(words[starts // 4] != MAGIC, f"is no record (wrong magic): {OTHER_INDEX}")
    marks = words[starts // 4 + 1]
    flags, lengths = marks >> 29, (marks & LENGTH_MASK).astype(np.int64)
    refuse(flags > _FIRST_PART, f"is inside a record, not at its start: {OTHER_INDEX}")
    sizes = _HEAD.size + (lengths + 3) // 4 * 4
    for place in np.flatnonzero(flags == _FIRST_PART).tolist():
        sizes[place] = _end_of_parts(words, int(starts[place])) - starts[place]
    short = f"is cut off, the file ends after {size_bytes} bytes: copy it again"
    refuse(starts + sizes > size_bytes, short)
    frames.sizes[rows] = sizes
    frames.cut[rows] = flags == _FIRST_PART


def _end_of_parts(words: NDArray[np.uint32], start: int) -> int:
    """Byte after the last part of the record at `start`; past the file if a part is missing."""
    position = start
    while position // 4 + 1 < len(words) and words[position // 4] == MAGIC:
        mark = int(words[position // 4 + 1])
        position += _HEAD.size + _padded(mark & LENGTH_MASK)
        if mark >> 29 == _LAST_PART:
            return position
    return 4 * len(words) + 4


def _check_gapless(frames: Frames, size_bytes: int) -> None:
    """Records must fill the file: an index of another file, or a part of one, does not."""
    order = np.argsort(frames.starts, kind="stable")
    begin = np.append(frames.starts[order], size_bytes)
    end = np.append(0, (frames.starts + frames.sizes)[order])
    wrong = np.flatnonzero(begin != end)
    if not len(wrong):
        return
    first = int(wrong[0])
    if begin[first] > end[first] and not frames.indexed:
        raise DataError(
            f"{frames.path} is cut off in the head at byte {end[first]}: copy it again"
        )
    if begin[first] > end[first]:
        raise DataError(
            f"{frames.path.with_suffix('.idx')} must name every record of {frames.path.name}, it "
            f"names none at byte {end[first]}: {OTHER_INDEX}"
        )
    raise DataError(
        f"{frames.place(int(order[first]))} is within the record before it: {OTHER_INDEX}"
    )


def _read_index(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys, ascending, and byte of each."""
    try:
        table = csv.read_csv(
            path,
            csv.ReadOptions(column_names=["key", "byte"], use_threads=False),
            csv.ParseOptions(delimiter="\t"),
            csv.ConvertOptions(column_types={"key": pa.int64(), "byte": pa.int64()}),
        )
    except (OSError, pa.ArrowException):
        raise _bad_index(path) from None
    if table["key"].null_count or table["byte"].null_count:
        raise _bad_index(path)
    keys, starts = table["key"].to_numpy(), table["byte"].to_numpy()
    if keys.min() < 0:
        raise _bad_index(path)
    order = np.argsort(keys, kind="stable")
    keys, starts = keys[order], starts[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        row = int(twice[0])
        raise DataError(
            f"keys must be unique, {path} has key {keys[row]} at bytes {starts[row]} and "
            f"{starts[row + 1]}: remove one"
        )
    return keys, starts


def _bad_index(path: Path) -> DataError:
    """What is wrong with an index that does not parse."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        return DataError(f"{path} must be a readable file ({error.strerror})")
    for number, line in enumerate(lines, 1):
        if line.strip() and not _INDEX_LINE.fullmatch(line):
            text = line[:60].decode(errors="replace").strip()
            return DataError(f'{path} line {number} must be "key<TAB>byte", got {text!a}')
    return DataError(f'{path} must name records by "key<TAB>byte" lines, it names none')


def _scan(path: Path) -> NDArray[np.int64]:
    """Byte of every record, going from head to head."""
    starts = array("q")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position, inside = 0, False
        while position + _HEAD.size <= len(data):
            magic, mark = _HEAD.unpack_from(data, position)
            flag = mark >> 29
            if magic != MAGIC or inside != (flag > _FIRST_PART):
                raise DataError(
                    f"{path} must have a record at byte {position}, none begins there: the file "
                    "is damaged, copy it again"
                )
            if not inside:
                starts.append(position)
            inside = flag in (_FIRST_PART, _FIRST_PART + 1)
            position += _HEAD.size + _padded(mark & LENGTH_MASK)
    return np.array(starts, np.int64)


def _padded(length: int) -> int:
    return (length + 3) // 4 * 4
