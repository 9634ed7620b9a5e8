"""Values of an image LMDB: Caffe `Datum` messages to image bytes or raw planes, and back.

Data flow: LMDB value -> here -> `decode` -> pixels. Two dialects are read. Standard messages hold
the image in field 4. Minimal ones hold it in field 1, an integer in the standard: the wire type of
field 1 tells them apart.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from numpy.typing import NDArray

from lfs_ray.data.datum_pb2 import Datum
from lfs_ray.errors import DataError

_LENGTH_DELIMITED = 2
_MINIMAL_FIELD = 1
_DATA = b"\x22"  # field 4, length-delimited
_LABEL = b"\x28"  # field 5, a varint
_ENCODED = b"\x38\x01"  # field 7, true
# Field 5, a varint, and field 7, which is true.
_AFTER_DATA = re.compile(rb"(?:\x28[\x80-\xff]{0,9}[\x00-\x7f])?\x38\x01")


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One LMDB value: encoded image bytes, or raw planes where `shape_chw` is given."""

    data: bytes
    label: int
    shape_chw: tuple[int, int, int] | None

    def planes_rgb(self) -> NDArray[np.uint8]:
        """Raw planes (C, H, W) in blue, green, red order as (H, W, 3) RGB; grey is repeated."""
        if self.shape_chw is None:
            raise DataError("raw planes were asked of a record that holds an encoded image")
        planes = np.frombuffer(self.data, np.uint8).reshape(self.shape_chw)
        planes = np.repeat(planes, 3, axis=0) if self.shape_chw[0] == 1 else planes[::-1]
        return np.ascontiguousarray(planes.transpose(1, 2, 0))


def encode(image: bytes, label: int) -> bytes:
    """Standard message that holds an encoded image (field 4) and its label (field 5, 0 or more).

    The bytes are those of the generated class's deterministic serialization, in a third of its
    time.
    """
    return b"".join((_DATA, _varint(len(image)), image, _LABEL, _varint(label), _ENCODED))


@lru_cache(1 << 16)
def _varint(value: int) -> bytes:
    """A number of 0 or more, seven bits a byte, the low ones first."""
    code = bytearray()
    while value > 0x7F:
        code.append(value & 0x7F | 0x80)
        value >>= 7
    code.append(value)
    return bytes(code)


def decode(value: bytes) -> StoredImage:
    """Read a standard or a minimal message.

    Planes are raw when `encoded` is false and 1 or 3 channels, height and width multiply to the
    length of the data: some writers set the shape of an encoded image, too.

    Raises:
        DataError: The value is no such message, or holds no image.
    """
    try:
        message = Datum.FromString(value)
    except DecodeError:
        raise DataError("an LMDB value must be a Datum message, this one is not") from None
    if not message.data:
        return StoredImage(_minimal_image(message), 0, None)
    shape = (message.channels, message.height, message.width)
    raw = not message.encoded and shape[0] in (1, 3) and math.prod(shape) == len(message.data)
    return StoredImage(message.data, message.label, shape if raw else None)


def encoded_part(value: memoryview) -> memoryview | None:
    """Where in a message as `encode` writes it the image lies, without copying it.

    Returns:
        The image's bytes; None for any other message, which `decode` is to read.
    """
    if len(value) < 4 or value[0] != _DATA[0]:
        return None
    size = shift = 0
    start = 1
    for byte in value[1:6]:  # the length, a varint
        size |= (byte & 0x7F) << shift
        shift += 7
        start += 1
        if byte < 0x80:
            break
    end = start + size
    return value[start:end] if size and _AFTER_DATA.fullmatch(value, end) else None


def _minimal_image(message: Datum) -> bytes:
    """Field 1 of a minimal message: the standard reader sees it as unknown, being no varint."""
    fields = UnknownFieldSet(message)
    for field in map(fields.__getitem__, range(len(fields))):
        if field.field_number == _MINIMAL_FIELD and field.wire_type == _LENGTH_DELIMITED:
            return bytes(field.data)
    raise DataError("a Datum message must hold an image in field 4 or 1, this one holds none")
