"""Lists of images: `key label`, one a line; and the check that labels are 0 to C-1.

Data flow: list file -> `list_parsing` -> here -> lists of files to pack. Keys of long lists are
kept as one block of text, not as millions of strings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.list_parsing import MAX_LABEL, ParsedLines, parse_list
from lfs_ray.errors import DataError

__all__ = ["MAX_LABEL", "Keys", "Listing", "check_labels", "read_list"]


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

    def some(self, start: int, stop: int) -> list[bytes]:
        """UTF-8 bytes of strings `start` to `stop` - 1; 0 <= start <= stop <= N."""
        ends = self.ends[start:stop].tolist()
        starts = [int(self.ends[start - 1]) if start else 0, *ends[:-1]]
        return [self.text[first:last] for first, last in zip(starts, ends, strict=False)]

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
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"list {path} must be a readable file ({error.strerror})") from None
    parts = list(parse_list(data, path))
    lengths = [part.ends - part.starts for part in parts]
    return Listing(
        Keys(b"".join(_key_bytes(data, part) for part in parts), np.cumsum(_joined(lengths))),
        _joined([part.labels for part in parts]),
        _joined([part.lines for part in parts]),
    )


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


def _key_bytes(data: bytes, part: ParsedLines) -> bytes:
    """The keys of a part one after the other, without what stands between them."""
    if not len(part.starts):
        return b""
    first = int(part.starts[0])
    steps = np.zeros(int(part.ends[-1]) - first + 1, np.int8)
    steps[part.starts - first] += 1
    steps[part.ends - first] -= 1
    inside = np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_)
    codes = np.frombuffer(data, np.uint8, len(inside), first)
    return codes[inside].tobytes()


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])
