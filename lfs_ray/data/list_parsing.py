"""Lines of `key label` to arrays, many at a time: ten million take seconds.

Data flow: bytes of a list file -> here -> `listing` (in memory) and `key_index` (memory-mapped). A
line is split at its last run of blanks or tabs; keys may hold blanks; empty lines are ignored.
Lines of a usual form are parsed by numpy; the others one by one, which also tells what is wrong.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError

MAX_LABEL = 2**31 - 1
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK_BYTES = 1 << 20
_LABEL_DIGITS = 10
_IS_BLANK = np.zeros(256, np.bool_)
_IS_BLANK[list(b" \t\n\r\x0b\x0c")] = True

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ParsedLines:
    """Some consecutive lines that are not empty."""

    starts: Places
    """Place of each key in the file, in bytes, (N,)."""
    ends: Places
    """Place after the last byte of each key, (N,)."""
    labels: NDArray[np.int64]
    """Label of each line, (N,)."""
    lines: Places
    """Line number in the file, from 1, (N,)."""


def parse_list(data: bytes | mmap.mmap, path: str | os.PathLike[str]) -> Iterator[ParsedLines]:
    """Parse the content of a list, a megabyte at a time.

    Args:
        data: The whole file.
        path: Its name, for messages.

    Raises:
        DataError: A line is not UTF-8, or has no key or no integer label; with file and line.
    """
    start = len(BYTE_ORDER_MARK) if data[: len(BYTE_ORDER_MARK)] == BYTE_ORDER_MARK else 0
    line = 1
    while start < len(data):
        stop = data.rfind(b"\n", start, start + _BLOCK_BYTES) + 1
        if not stop:
            stop = data.find(b"\n", start) + 1 or len(data)
        block = data[start:stop]
        parsed, num_lines = _parse_block(block, line, path)
        yield ParsedLines(parsed.starts + start, parsed.ends + start, parsed.labels, parsed.lines)
        start, line = stop, line + num_lines


def _parse_block(
    block: bytes, first_line: int, path: str | os.PathLike[str]
) -> tuple[ParsedLines, int]:
    """Parse whole lines; places count from the start of the block."""
    codes = np.frombuffer(block, np.uint8)
    breaks = np.flatnonzero(codes == ord("\n"))
    stops = breaks if block.endswith(b"\n") else np.append(breaks, len(block))
    starts = np.append(0, breaks + 1)[: len(stops)]
    trimmed = _without_blanks(codes, starts, stops)
    shown = np.flatnonzero(trimmed > starts)
    starts, trimmed, lines = starts[shown], trimmed[shown], first_line + shown
    labels, ends, usual = _split(codes, starts, trimmed)
    if not _is_utf8(block):
        usual[:] = False
    for place in np.flatnonzero(~usual).tolist():
        line = block[int(starts[place]) : int(trimmed[place])]
        key, label = _parse_line(line, f"{path} line {lines[place]}")
        ends[place], labels[place] = starts[place] + len(key), label
    return ParsedLines(starts, ends, labels, lines), len(stops)


def _split(
    codes: NDArray[np.uint8], starts: Places, stops: Places
) -> tuple[NDArray[np.int64], Places, NDArray[np.bool_]]:
    """Labels and ends of keys, and which lines are of the usual form: key, blanks, digits."""
    last = stops - 1
    labels, num_digits = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    open_ = np.arange(len(starts))
    for digit in range(_LABEL_DIGITS):
        place = last[open_] - digit
        code = codes[place].astype(np.int64) - ord("0")
        found = (code >= 0) & (code <= 9)
        open_, code, place = open_[found], code[found], place[found]
        labels[open_] += code * 10**digit
        num_digits[open_] += 1
        open_ = open_[place > starts[open_]]
    # A first byte that is a digit leaves no blank before it, as the place before it is outside.
    before = np.maximum(last - num_digits, starts)
    negative = codes[before] == ord("-")
    before = np.maximum(before - negative, starts)
    usual = (num_digits > 0) & _IS_BLANK[codes[before]] & (labels <= MAX_LABEL)
    ends = _without_blanks(codes, starts, before)
    return np.where(negative, -labels, labels), ends, usual & (ends > starts)


def _without_blanks(codes: NDArray[np.uint8], starts: Places, stops: Places) -> Places:
    """Ends of pieces without the blanks at their ends."""
    ends = stops.copy()
    places = np.flatnonzero(ends > starts)
    while len(places):
        places = places[_IS_BLANK[codes[ends[places] - 1]]]
        ends[places] -= 1
        places = places[ends[places] > starts[places]]
    return ends


def _is_utf8(block: bytes) -> bool:
    try:
        return block.isascii() or bool(block.decode())
    except UnicodeDecodeError:
        return False


def _parse_line(line: bytes, place: str) -> tuple[bytes, int]:
    parts = line.rsplit(None, 1)
    if len(parts) != 2:
        raise DataError(f'{place} must be "key label", got {_shown(line)}')
    key, label = parts
    try:
        key.decode()
    except UnicodeDecodeError:
        raise DataError(f"{place} must be UTF-8 text, got {_shown(line)}") from None
    if not label.removeprefix(b"-").isdigit() or abs(int(label)) > MAX_LABEL:
        raise DataError(f"{place} must end in an integer label, got {_shown(line)}")
    return key, int(label)


def _shown(line: bytes) -> str:
    text = line.decode(errors="backslashreplace")
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
