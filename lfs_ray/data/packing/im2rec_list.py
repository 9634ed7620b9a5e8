"""Lists as im2rec takes them: `index<TAB>label...<TAB>path`, one image a line.

Data flow: `.lst` file -> here -> `list_file`. Paths may hold blanks; labels are decimal numbers
that must be whole; of several labels the first counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lfs_ray.data.listing import MAX_LABEL, Keys, Listing
from lfs_ray.errors import DataError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_im2rec_list(path: Path) -> bool:
    """Whether the first line that is not empty has an index, numbers and a path, split by tabs.

    Raises:
        DataError: The file cannot be read.
    """
    for _, line in _lines(path):
        fields = line.split(b"\t")
        return len(fields) >= 3 and fields[0].isdigit() and all(map(_is_number, fields[1:-1]))
    return False


def read_im2rec_list(path: Path) -> Listing:
    """Paths and labels, in the order of the lines; the index is not used.

    Raises:
        DataError: The file cannot be read, or a line has too few fields, no path, text that is not
            UTF-8 or a label that is not a whole number from 0; names file and line.
    """
    keys: list[bytes] = []
    labels: list[int] = []
    numbers: list[int] = []
    for number, line in _lines(path):
        fields = line.split(b"\t")
        place = f"{path} line {number}"
        if len(fields) < 3 or not fields[-1].strip():
            shown = line.decode(errors="replace")
            raise DataError(f'{place} must be "index<TAB>label<TAB>path", got {shown!a}')
        keys.append(_checked_text(fields[-1], place))
        labels.append(_label(fields[1], place))
        numbers.append(number)
    return Listing(Keys.of(keys), np.array(labels, np.int64), np.array(numbers, np.int64))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of the lines that are not empty."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n")
    except OSError as error:
        raise DataError(f"list {path} must be a readable file ({error.strerror})") from None


def _checked_text(field: bytes, place: str) -> bytes:
    try:
        field.decode()
    except UnicodeDecodeError:
        raise DataError(f"{place} must be UTF-8 text, got {field!r}") from None
    return field


def _label(field: bytes, place: str) -> int:
    value = float(field) if _is_number(field) else -1.0
    if not 0 <= value <= MAX_LABEL or value != int(value):
        raise DataError(
            f"{place} must have a whole label of 0 or more, got {field.decode(errors='replace')!a}"
        )
    return int(value)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
