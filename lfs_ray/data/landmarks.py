"""Landmarks of faces by key: lines `key x1 y1 ... x5 y5`, with or without a score at the end.

Data flow: landmark file -> here -> `align`, while images are packed.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.listing import Keys
from lfs_ray.data.packing.repeats import first_repeat
from lfs_ray.errors import DataError

_NUMBERS = 10
_SHOWN = 60
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Landmarks:
    """Five points of each of N images, found by key; 72 bytes an image and its key."""

    def __init__(self, keys: Keys, points_N52: NDArray[np.float32], path: str) -> None:
        self.path = path
        self._keys = keys
        self._points_N52 = points_N52
        hashes = np.fromiter(map(hash, map(keys.encoded, range(len(keys)))), np.int64, len(keys))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str) -> NDArray[np.float32] | None:
        """Five points of image `key`, x and y in pixels, (5, 2); None if it has none."""
        code = key.encode("utf-8", "surrogateescape")
        place = int(np.searchsorted(self._hashes, hash(code)))
        while place < len(self._hashes) and self._hashes[place] == hash(code):
            row = int(self._order[place])
            if self._keys.encoded(row) == code:
                points_52: NDArray[np.float32] = self._points_N52[row]
                return points_52
            place += 1
        return None

    def of(self, key: str) -> NDArray[np.float32]:
        """As `find`; DataError if the image has no landmarks."""
        points_52 = self.find(key)
        if points_52 is None:
            raise DataError(f'{self.path} must have a line for every image, "{key}" has none')
        return points_52


def read_landmarks(path: str | os.PathLike[str]) -> Landmarks:
    """Read `key x1 y1 ... x5 y5 [score]` lines: left eye, right eye, nose, mouth corners.

    Keys may hold blanks: numbers are taken from the end of the line, eleven of them where every
    line has so many, else ten.

    Raises:
        DataError: The file is missing, or a line has too few numbers, one that is not finite, text
            that is not UTF-8, or a key that was there before; names file and line.
    """
    num_numbers = _numbers_a_line(Path(path))
    text = bytearray()
    ends, values = array("q"), array("f")
    for number, line in _lines(Path(path)):
        key, numbers = _parse(line, num_numbers, f"{path} line {number}")
        text += key
        ends.append(len(text))
        values.extend(numbers[:_NUMBERS])
    keys = Keys(bytes(text), np.array(ends, np.int64))
    points_N52 = np.array(values, np.float32).reshape(-1, 5, 2)
    _refuse_repeats(keys, path)
    return Landmarks(keys, points_N52, os.fspath(path))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of the lines that are not empty."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.removeprefix(_BYTE_ORDER_MARK).rstrip()
    except OSError as error:
        raise DataError(f"landmarks {path} must be a readable file ({error.strerror})") from None


def _numbers_a_line(path: Path) -> int:
    """Eleven where every line ends in so many numbers, else ten."""
    for _, line in _lines(path):
        fields = line.rsplit(None, _NUMBERS + 1)
        if len(fields) < _NUMBERS + 2 or _floats(fields[1:]) is None:
            return _NUMBERS
    return _NUMBERS + 1


def _parse(line: bytes, num_numbers: int, place: str) -> tuple[bytes, list[float]]:
    key, *fields = line.rsplit(None, num_numbers)
    numbers = _floats(fields)
    if len(fields) < num_numbers or numbers is None or not np.isfinite(numbers).all():
        shown = line[:_SHOWN].decode(errors="replace")
        raise DataError(f'{place} must be "key x1 y1 ... x5 y5", got {shown!a}')
    try:
        key.decode()
    except UnicodeDecodeError:
        raise DataError(f"{place} must be UTF-8 text, got {key[:_SHOWN]!r}") from None
    return key, numbers


def _floats(fields: list[bytes]) -> list[float] | None:
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def _refuse_repeats(keys: Keys, path: str | os.PathLike[str]) -> None:
    if repeat := first_repeat(keys):
        raise DataError(
            f'{path} must have one line for an image, "{keys[repeat[0]]}" has two: remove one'
        )
