"""Files inside an uncompressed tar: name, first byte, length; from one pass over the headers.

Data flow: tar shard -> here -> `tars`. Plain headers are read here, at a tenth of the time the
standard library takes; from the first header on that is not plain (long names, links) it takes
over.
"""

from __future__ import annotations

import mmap
import re
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lfs_ray.errors import DataError

_BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(_BLOCK)
_FOLDER, _EXTENDED = ord("5"), ord("x")
_PLAIN_TYPES = (ord("0"), 0)
_OCTAL = re.compile(rb" *[0-7]+[ \0]*")
# Extended headers that hold nothing but these do not change what is read.
_IRRELEVANT = frozenset((b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname"))
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class Member(NamedTuple):
    """A regular file inside a tar."""

    name: str
    start: int
    """Its first byte within the tar."""
    size: int
    """Its length in bytes."""


def members_of(path: Path) -> Iterator[Member]:
    """Regular files of the tar, in their order; folders and links are left out.

    Raises:
        DataError: Unreadable, compressed, no tar, cut off, or damaged; names the byte.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if not start:
                raise DataError(f"{path} must be a tar file, it is empty")
            _refuse_compressed(start, path)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                position = yield from _plain_members(data, path)
            if position >= 0:
                yield from _other_members(file, position, path)
    except OSError as error:
        raise DataError(f"{path} must be a readable file ({error.strerror})") from None


def _refuse_compressed(start: bytes, path: Path) -> None:
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(
                f"{path} must be an uncompressed tar, it is compressed by {name}: decompress it "
                "(images hardly get smaller)"
            )


def _plain_members(data: mmap.mmap, path: Path) -> Generator[Member, None, int]:
    """Members up to the end of the tar, or to the header that the standard library must read.

    Returns:
        Byte of that header, -1 at the end.
    """
    position = 0
    while (header := data[position : position + _BLOCK]) != _ZEROS:
        if not _is_plain(header):
            return position
        kind, name = header[156], _name(header)
        size = 0 if kind == _FOLDER else int(header[124:136].rstrip(b" \0"), 8)
        start = position + _BLOCK
        if start + size > len(data):
            raise _cut_off(path, len(data))
        if kind == _EXTENDED and not _is_irrelevant(data[start : start + size]):
            return position
        if kind in _PLAIN_TYPES:
            yield Member(name, start, size)
        position = start + (size + _BLOCK - 1) // _BLOCK * _BLOCK
    return -1


def _is_plain(header: bytes) -> bool:
    """Whether a header is whole, of a file, folder or extension, with octal size and a name."""
    if len(header) < _BLOCK or header[0] == 0 or not _OCTAL.fullmatch(header[124:136]):
        return False
    checksum = header[148:156]
    if not _OCTAL.fullmatch(checksum):
        return False
    # The checksum is that of the header with blanks in the checksum's own place.
    right = sum(header.rstrip(b"\0")) - sum(checksum) + 8 * ord(" ")
    kind = header[156]
    known = kind in _PLAIN_TYPES and not header[:100].rstrip(b"\0").endswith(b"/")
    return right == int(checksum.rstrip(b" \0"), 8) and (known or kind in (_FOLDER, _EXTENDED))


def _name(header: bytes) -> str:
    name, prefix = header[:100].partition(b"\0")[0], header[345:500].partition(b"\0")[0]
    whole = prefix + b"/" + name if prefix else name
    return whole.decode("utf-8", "surrogateescape")


def _is_irrelevant(content: bytes) -> bool:
    """Whether an extended header (lines `length key=value`) changes nothing that is used."""
    lines = content.rstrip(b"\0").split(b"\n")[:-1]
    keys = (line.partition(b" ")[2].partition(b"=")[0] for line in lines)
    return all(key in _IRRELEVANT for key in keys)


def _other_members(file: BinaryIO, position: int, path: Path) -> Iterator[Member]:
    """Members from the header at `position` on, by the standard library."""
    size_bytes = path.stat().st_size
    file.seek(position)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (info := archive.next()) is not None:
                # A list of all of them would fill the memory.
                archive.members.clear()  # type: ignore[attr-defined]
                if info.isreg() and info.offset_data + info.size > size_bytes:
                    raise _cut_off(path, size_bytes)
                if info.isreg() and not info.issparse():
                    yield Member(info.name, info.offset_data, info.size)
            end = archive.offset
    except tarfile.ReadError as error:
        raise DataError(
            f"{path} must be a whole tar, from byte {position} on it is none ({error}): copy it "
            "again"
        ) from None
    _check_end(file, path, end)


def _check_end(file: BinaryIO, path: Path, end: int) -> None:
    """A tar ends in a block of zeros: other bytes are damage, none at all are a cut."""
    file.seek(end)
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise _cut_off(path, end)
    if any(block):
        raise DataError(f"{path} is damaged, byte {end} is no header: copy it again")


def _cut_off(path: Path, size_bytes: int) -> DataError:
    return DataError(f"{path} is cut off after {size_bytes} bytes: copy it again")
