"""Lists of images: `key label`, one a line; and the check that labels are 0 to C-1.

Data flow: list file -> here -> `sources` (joined sets) and `pack` (list files). Keys of long lists
are kept as one block of text, not as millions of strings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError

MAX_LABEL = 2**31 - 1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Immutable sequence of strings in two compact parts."""

    text: bytes
    """All strings, UTF-8, without separators."""
    ends: NDArray[np.int64]
    """End of each string in `text`, (N,)."""

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> Self:
        """Pack UTF-8 strings."""
        parts = list(strings)
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(b"".join(parts), np.cumsum(lengths))

    @classmethod
    def join(cls, several: Iterable[Keys]) -> Self:
        """One sequence after the other."""
        parts = list(several)
        sizes = np.cumsum([0] + [len(part.text) for part in parts])
        ends = [part.ends + start for part, start in zip(parts, sizes, strict=False)]
        return cls(b"".join(part.text for part in parts), np.concatenate(ends))

    def encoded(self, index: int) -> bytes:
        """UTF-8 bytes of string `index`, which is 0 to N-1."""
        start = int(self.ends[index - 1]) if index else 0
        return self.text[start : int(self.ends[index])]

    def __getitem__(self, index: int) -> str:
        return self.encoded(index).decode()

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """Content of one list file."""

    keys: Keys
    """Key of each image, (N,)."""
    labels: NDArray[np.int64]
    """Label of each image as written, (N,)."""
    lines: NDArray[np.int64]
    """Line number of each image, from 1, (N,)."""


def read_list(path: str | os.PathLike[str]) -> Listing:
    """Read `key label` lines.

    A line is split at its last blank or tab: keys may hold blanks. Empty lines are ignored.

    Raises:
        DataError: The file is missing, not UTF-8, or a line has no key or no integer label; with
            file name and line number.
    """
    try:
        lines = Path(path).read_bytes().removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    except OSError as error:
        raise DataError(f"list {path} must be a readable file ({error.strerror})") from None
    keys: list[bytes] = []
    labels: list[int] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        if line := line.rstrip():
            key, label = _parse_line(line, f"{path} line {number}")
            keys.append(key)
            labels.append(label)
            numbers.append(number)
    return Listing(Keys.of(keys), np.array(labels, np.int64), np.array(numbers, np.int64))


def check_labels(listing: Listing, path: str | os.PathLike[str]) -> int:
    """Number of classes C of a list whose labels are 0 to C-1, each present.

    Raises:
        DataError: The list is empty, or a label is negative or missing; names the first one.
    """
    if not len(listing.labels):
        raise DataError(f"list {path} must name at least one image, it is empty")
    present = np.unique(listing.labels)
    if present[0] < 0:
        first = int(np.flatnonzero(listing.labels < 0)[0])
        raise DataError(
            f"labels must be 0 to C-1, {path} line {listing.lines[first]} has label "
            f"{listing.labels[first]}: renumber the classes"
        )
    if present[-1] >= len(present):
        gap = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise DataError(
            f"labels must be 0 to C-1 without gaps, {path} has no label {gap} but "
            f"label {present[-1]}: renumber the classes"
        )
    return len(present)


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
