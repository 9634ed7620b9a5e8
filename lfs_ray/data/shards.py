"""Records on their way into a packed set: checked, encoded, cut into blocks with a checksum each.

Data flow: `Record` of a source -> here, on threads -> `Entry` -> shards of consecutive entries ->
`packed_writer`. A shard ends after a fixed number of records or bytes: which records it holds, and
so its checksum, depends on nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from lfs_ray.data import datum
from lfs_ray.data.decode import image_size
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError

SHARD_RECORDS = 10_000
SHARD_BYTES = 128 << 20
MAX_KEY_BYTES = 511
_SIZES_KEPT = 2
_BLANKS = b" \t\n\r\x0b\x0c"


class Entry(NamedTuple):
    """One image as it is stored."""

    key: bytes
    """UTF-8."""
    value: bytes
    """Datum message."""
    line: bytes
    """Line of the list, with its end."""
    size_hw: tuple[int, int]
    """Height and width in pixels."""
    digest: bytes
    """SHA-256 of the encoded image."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A block of consecutive records that is complete on disk."""

    first: int
    """Place of its first image in the set."""
    images: int
    """Number of its images."""
    list_end: int
    """Length of the list after its last line, in bytes."""
    sizes_hw: tuple[tuple[int, int], ...]
    """Heights and widths of its images, two of them when there are more."""
    sha256: str
    """Checksum over its list lines and images."""

    def as_json(self) -> dict[str, object]:
        """Plain values, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Shard:
        """Shard of plain values; ValueError, TypeError or KeyError when it is none."""
        sizes = values["sizes_hw"]
        if not isinstance(sizes, list):
            raise ValueError(sizes)
        kept = tuple((int(height), int(width)) for height, width in sizes)
        first, images, end = (int(str(values[key])) for key in ("first", "images", "list_end"))
        return cls(first, images, end, kept, str(values["sha256"]))


def as_entry(record: Record, num_classes: int) -> Entry:
    """Check a record and encode it.

    Raises:
        DataError: The key cannot stand in a list or an LMDB, the label is none of the classes, the
            bytes are no image.
    """
    key = checked_key(record.key)
    if not 0 <= record.label < num_classes:
        raise DataError(f'the label of "{record.key}" must be 0 to {num_classes - 1}, got '
                        f"{record.label}")  # fmt: skip
    try:
        size_hw = image_size(record.image)
    except DataError as error:
        raise DataError(f'image "{record.key}": {error}') from None
    return Entry(
        key,
        datum.encode(record.image, record.label),
        b"%b %d\n" % (key, record.label),
        size_hw,
        hashlib.sha256(record.image).digest(),
    )


def checked_key(key: str) -> bytes:
    """UTF-8 of a key that list and LMDB can carry.

    Any text of 1 to 511 bytes will do, except that a line of the list must hold it: no line break,
    no blank at its end.

    Raises:
        DataError: It is no such text.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise DataError(f"a key must be UTF-8 text, got {key!a}: rename the image") from None
    if not 0 < len(encoded) <= MAX_KEY_BYTES:
        raise DataError(
            f"a key must have 1 to {MAX_KEY_BYTES} bytes of UTF-8, {key[:60]!a}... has "
            f"{len(encoded)}: rename the image"
        )
    if b"\n" in encoded or b"\r" in encoded or encoded[-1] in _BLANKS:
        raise DataError(
            f"a key must be one line of text without a blank at its end, got {key!a}: rename the "
            "image"
        )
    return encoded


def cut_shards(
    entries: Iterable[Entry], *, max_records: int = SHARD_RECORDS, max_bytes: int = SHARD_BYTES
) -> Iterator[list[Entry]]:
    """Consecutive entries, up to so many records, ended by the one that reaches the bytes."""
    shard: list[Entry] = []
    num_bytes = 0
    for entry in entries:
        shard.append(entry)
        num_bytes += len(entry.value)
        if len(shard) == max_records or num_bytes >= max_bytes:
            yield shard
            shard, num_bytes = [], 0
    if shard:
        yield shard


def describe(entries: Sequence[Entry], first: int, list_start: int) -> Shard:
    """What is known of a shard whose first image has place `first` in the set."""
    lines = b"".join(entry.line for entry in entries)
    return Shard(
        first,
        len(entries),
        list_start + len(lines),
        tuple(sorted({entry.size_hw for entry in entries})[:_SIZES_KEPT]),
        checksum(entries),
    )


def checksum(entries: Iterable[Entry]) -> str:
    """SHA-256 over line and image digest of each entry, hexadecimal."""
    total = hashlib.sha256()
    for entry in entries:
        total.update(entry.line)
        total.update(entry.digest)
    return total.hexdigest()
