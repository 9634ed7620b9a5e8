"""Writes RecordIO files for tests, from the description of the format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

MAGIC = struct.pack("<I", 0xCED7230A)


def payload(labels: float | Sequence[float], image: bytes = b"", number: int = 0) -> bytes:
    """Header with one label or a vector of labels, then the image."""
    if isinstance(labels, Sequence):
        head = struct.pack("<IfQQ", len(labels), 0, number, 0)
        return head + struct.pack(f"<{len(labels)}f", *labels) + image
    return struct.pack("<IfQQ", 0, labels, number, 0) + image


def frame(content: bytes) -> bytes:
    """Cut where the magic stands at a multiple of 4, leaving it out."""
    parts, start = [], 0
    for place in range(0, len(content) - 3, 4):
        if content[place : place + 4] == MAGIC and place >= start:
            parts.append(content[start:place])
            start = place + 4
    parts.append(content[start:])
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + bytes(-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )


def write_records(
    path: Path, payloads: dict[int, bytes], *, indexed: bool = True
) -> dict[int, int]:
    """Write records by key in the order given; returns the byte of each."""
    offsets, content = {}, b""
    for key, data in payloads.items():
        offsets[key] = len(content)
        content += frame(data)
    path.write_bytes(content)
    if indexed:
        write_index(path, offsets)
    return offsets


def write_index(path: Path, offsets: dict[int, int]) -> None:
    rows = "".join(f"{key}\t{offset}\n" for key, offset in offsets.items())
    path.with_suffix(".idx").write_text(rows)


def classic(images: Sequence[Sequence[bytes]]) -> dict[int, bytes]:
    """Records of a classic set: header, images of each identity, identity records."""
    records: dict[int, bytes] = {}
    ranges = []
    key = 1
    for label, blobs in enumerate(images):
        ranges.append((key, key + len(blobs)))
        for blob in blobs:
            records[key] = payload(float(label), blob, key)
            key += 1
    first_identity = key
    for begin, end in ranges:
        records[key] = payload((begin, end), b"", key)
        key += 1
    return {0: payload((first_identity, key)), **records}
