"""What every source of images to pack looks like.

Data flow: files of some format -> one module of this package each -> `ImageSource` -> the packing
pipeline. A source knows the place, key and label of every record when it is opened, in arrays of a
few bytes a record; the images are read when they are asked for, by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """One image to pack."""

    key: str
    """Name of the image within the set: unique, one line, at most 511 bytes of UTF-8."""
    image: bytes
    """Encoded image: a whole JPEG, PNG, ... file."""
    label: int
    """Class of the image, 0 to C-1."""


class ImageSource(Protocol):
    """Labelled images by position: the same order for ever, random access, any thread."""

    @property
    def class_names(self) -> Sequence[str]:
        """Name of each class, its label is its place.

        Formats that number their classes give the number as text, so that a renumbering can be
        read from the names.
        """

    @property
    def facts(self) -> Mapping[str, object]:
        """What the manifest says of the source: kind, file names, counts; no absolute path."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of names, sizes and modification times of the source's files."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> list[Record]:
        """Records at positions start to stop-1; 0 <= start <= stop <= len.

        Raises:
            DataError: A record cannot be read; names file, key and place.
        """
