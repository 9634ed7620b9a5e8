"""Named arrays to the bytes of a safetensors file and back, without copies.

Between numpy arrays and storage. The safetensors library builds the file in memory first, which
takes longer than writing it to the disk; here the file is a list of parts, the header and the
arrays themselves, and what is read are views of the file's bytes. The layout is the library's own,
byte for byte: https://huggingface.co/docs/safetensors (8 bytes length of the header, header in
JSON, arrays in C order and little endian).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]
Part: TypeAlias = bytes | memoryview

_DTYPES: dict[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "F16": np.dtype("<f2"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
"""Types by their names in a file, in the order in which the library lays arrays out."""
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_RANKS = {dtype: rank for rank, dtype in enumerate(_NAMES)}
_METADATA = "__metadata__"
_ALIGNMENT = 8


def pack_tensors(arrays: Arrays, metadata: Mapping[str, str]) -> list[Part]:
    """Parts of a file, to be written one after the other; they share memory with the arrays.

    Raises:
        KeyError: an array is of a type that these files don't hold here.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    order = sorted(whole, key=lambda name: (_RANKS[whole[name].dtype], name))
    header: dict[str, object] = {_METADATA: dict(metadata)} if metadata else {}
    offset = 0
    for name in order:
        end = offset + whole[name].nbytes
        shape = list(arrays[name].shape)
        kind = _NAMES[whole[name].dtype]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    start = len(text).to_bytes(_ALIGNMENT, "little") + text
    return [start, *(whole[name].reshape(-1).view(np.uint8).data for name in order)]


def unpack_tensors(blob: Part) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, str]]:
    """Arrays, which are read-only views of `blob`, and metadata.

    Raises:
        ValueError: not a whole safetensors file, or one with a type unknown here.
    """
    length = int.from_bytes(blob[:_ALIGNMENT], "little")
    start = _ALIGNMENT + length
    if len(blob) < start:
        raise ValueError(f"a header of {length} bytes must be there")
    try:
        header = json.loads(bytes(blob[_ALIGNMENT:start]))
        metadata = header.pop(_METADATA, {})
        arrays = {name: _view(blob, start, entry) for name, entry in header.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the header must describe arrays, found {error!r}") from error
    size = start + sum(array.nbytes for array in arrays.values())
    if size != len(blob):
        raise ValueError(f"its header describes {size} bytes")
    return arrays, metadata


def _view(blob: Part, start: int, entry: Mapping[str, Any]) -> npt.NDArray[np.generic]:
    """One array of a file whose data begin at `start`."""
    dtype, shape, (first, end) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    count = math.prod(shape)
    if not 0 <= first <= end or end - first != count * dtype.itemsize:
        raise ValueError(f"{count} numbers of {dtype} must take {end - first} bytes")
    return np.frombuffer(blob, dtype, count, start + first).reshape(shape)
