"""Records on their way into a packed set: checked, encoded, in shards with a checksum each.

Data flow: `Record` of a source -> here, on threads -> `Block` of some records -> shards of
consecutive blocks -> `packed_writer`. A shard ends after a fixed number of records or bytes: which
records it holds, and so its checksum, depends on nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

from lfs_ray.data import datum
from lfs_ray.data.decode import image_size, refuse_cut_off
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError

BLOCK_RECORDS = 40
SHARD_RECORDS = 5_000
SHARD_BYTES = 128 << 20
MAX_KEY_BYTES = 511
_SIZES_KEPT = 2
_USABLE_KEY = re.compile(rb"[^\r\n]{0,510}[^ \t\n\r\x0b\x0c]")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Up to BLOCK_RECORDS consecutive images as they are stored."""

    keys: list[bytes]
    """Key of each, UTF-8."""
    values: list[bytes]
    """Datum message of each."""
    lines: bytes
    """Their lines of the list."""
    sizes_hw: frozenset[tuple[int, int]]
    """Heights and widths in pixels."""

    def digest(self) -> bytes:
        """SHA-256 of lines and values."""
        return block_digest(self.lines, self.values)


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive records that are complete on disk."""

    first: int
    """Place of its first image in the set."""
    images: int
    """Number of its images."""
    list_end: int
    """Length of the list after its last line, in bytes."""
    sizes_hw: tuple[tuple[int, int], ...]
    """Heights and widths of its images, two of them when there are more."""
    sha256: str
    """SHA-256 over the digests of its blocks, hexadecimal."""

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


def as_block(records: Sequence[Record], num_classes: int) -> Block:
    """Check records and encode them.

    Raises:
        DataError: A key cannot stand in a list or an LMDB, a label is none of the classes, bytes
            are no image or a part of one.
    """
    keys, values, lines, sizes = [], [], [], set()
    for name, image, label in records:
        key = checked_key(name)
        if not 0 <= label < num_classes:
            raise DataError(f'the label of "{name}" must be 0 to {num_classes - 1}, got {label}')
        try:
            sizes.add(image_size(image))
            refuse_cut_off(image)
        except DataError as error:
            raise DataError(f'image "{name}": {error}: repair or remove it') from None
        keys.append(key)
        values.append(datum.encode(image, label))
        lines.append(b"%b %d\n" % (key, label))
    return Block(keys, values, b"".join(lines), frozenset(sizes))


def block_digest(lines: bytes, values: Iterable[bytes | memoryview]) -> bytes:
    """SHA-256 of the lines of a block and what is stored for them."""
    total = hashlib.sha256(lines)
    total.update(b"".join(values))
    return total.digest()


def checked_key(key: str) -> bytes:
    """UTF-8 of a key that list and LMDB can carry.

    Any text of 1 to 511 bytes will do that a line of the list can hold: no line break in it, no
    blank at its end.

    Raises:
        DataError: It is no such text.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise DataError(f"a key must be UTF-8 text, got {key!a}: rename the image") from None
    if _USABLE_KEY.fullmatch(encoded):
        return encoded
    if not 0 < len(encoded) <= MAX_KEY_BYTES:
        shown = f"{key[:40]}..." if key else ""
        raise DataError(
            f"a key must have 1 to {MAX_KEY_BYTES} bytes of UTF-8, {shown!a} has "
            f"{len(encoded)}: rename the image"
        )
    raise DataError(
        f"a key must be one line of text without a blank at its end, got {key!a}: rename the image"
    )


def cut_shards(
    blocks: Iterable[Block], *, max_records: int = SHARD_RECORDS, max_bytes: int = SHARD_BYTES
) -> Iterator[Iterator[Block]]:
    """Consecutive blocks, ended by the one that reaches the number of records or bytes.

    The blocks of a shard come one by one and are not kept; take all of them before the next shard.
    """
    rest = iter(blocks)
    for first in rest:
        yield _one_shard(chain((first,), rest), max_records, max_bytes)


def _one_shard(blocks: Iterable[Block], max_records: int, max_bytes: int) -> Iterator[Block]:
    num_records = num_bytes = 0
    for block in blocks:
        num_records += len(block.keys)
        num_bytes += sum(map(len, block.values))
        yield block
        if num_records >= max_records or num_bytes >= max_bytes:
            return


class ShardTotal:
    """What is known of a shard while its blocks come; their images are not kept."""

    def __init__(self) -> None:
        self._images = 0
        self._lines: list[bytes] = []
        self._sizes_hw: set[tuple[int, int]] = set()
        self._digest = hashlib.sha256()

    def add(self, block: Block) -> None:
        """Count in the next block."""
        self._images += len(block.keys)
        self._lines.append(block.lines)
        self._sizes_hw |= block.sizes_hw
        self._digest.update(block.digest())

    def lines(self) -> bytes:
        """Lines of the list so far."""
        return b"".join(self._lines)

    def shard(self, first: int, list_start: int) -> Shard:
        """The shard, whose first image has place `first` in the set."""
        return Shard(
            first,
            self._images,
            list_start + sum(map(len, self._lines)),
            tuple(sorted(self._sizes_hw)[:_SIZES_KEPT]),
            self._digest.hexdigest(),
        )
