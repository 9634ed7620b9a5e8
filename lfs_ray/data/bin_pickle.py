"""The objects of a `.bin` set, unpickled without running anything that the file names.

Data flow: bytes of a `.bin` file -> here -> images, labels as plain objects -> `bin_set`.
Unpickling calls what the file asks for, so three walls stand around it:

1. The opcodes are read first. They must be those that writers of such sets produce: persistent
   ids, extension codes, instances, dictionaries and out-of-band buffers are refused, as are
   lengths and memo places that no file of this size can have.
2. A name must stand in a table of exact names; a dotted name finds nothing.
3. A name of the table stands for a function of this module, never for NumPy's own: a crafted
   dtype state or an array of objects meets nothing that would believe it.

This is the only use of pickle in the package.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from dataclasses import dataclass, field
from typing import Any

from lfs_ray.errors import DataError

MAX_OPCODES = 10_000_000

_OPCODES = (
    frozenset({"PROTO", "FRAME", "STOP", "MARK"})
    | {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"}
    | {"NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
    | {"LIST", "EMPTY_LIST", "APPEND", "APPENDS"}
    | {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
    | {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}
)
_MAX_DIMENSIONS = 8
_MEMO_WRITES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_TYPE = re.compile(r"[|<>=]?(b1|[iu][1248])")


@dataclass(slots=True)
class Dtype:
    """Stands for a NumPy dtype of booleans or integers."""

    code: str
    """Kind and size in bytes: b1, u1, i8, ..."""
    order: str = "="
    """Byte order."""

    @property
    def itemsize(self) -> int:
        """Bytes of an item."""
        return int(self.code[1])

    def __setstate__(self, state: Any) -> None:
        _require(isinstance(state, tuple) and len(state) in (7, 8, 9), "a dtype's state")
        _require(state[2] is None and state[3] is None and state[4] is None, "a plain dtype")
        self.order = _text(state[1])

    def number(self, raw: bytes) -> int | bool:
        """The item in these bytes."""
        signed = self.code[0] == "i"
        value = int.from_bytes(raw, "big" if self.order == ">" else "little", signed=signed)
        return bool(value) if self.code == "b1" else value


@dataclass(slots=True)
class Array:
    """Stands for a NumPy array of booleans or integers."""

    dtype: Dtype = field(default_factory=lambda: Dtype("u1"))
    shape: tuple[int, ...] = ()
    raw: bytes = b""
    """The items, (prod(shape) * itemsize,)."""

    def __setstate__(self, state: Any) -> None:
        _require(isinstance(state, tuple) and len(state) in (4, 5), "an array's state")
        shape, dtype, _, raw = state[-4:]
        self.fill(dtype, shape, raw)

    def fill(self, dtype: Any, shape: Any, raw: Any) -> None:
        """Take over what the stream gives, once it is found to fit."""
        plain = isinstance(dtype, Dtype) and isinstance(raw, bytes)
        _require(plain, "arrays of numbers")
        _require(isinstance(shape, tuple) and len(shape) <= _MAX_DIMENSIONS, "a shape")
        _require(all(type(n) is int and 0 <= n <= len(raw) for n in shape), "a shape")
        _require(math.prod(shape) * dtype.itemsize == len(raw), "as many items as its shape says")
        self.dtype, self.shape, self.raw = dtype, shape, raw

    def numbers(self) -> list[int | bool]:
        """The items in the order they are stored."""
        size = self.dtype.itemsize
        pieces = (self.raw[at : at + size] for at in range(0, len(self.raw), size))
        return [self.dtype.number(piece) for piece in pieces]


def load_objects(data: bytes, place: str) -> Any:
    """What the file holds: lists, tuples, numbers, bytes, text and `Array`.

    Args:
        data: The whole file.
        place: Its name, for messages.

    Raises:
        DataError: The file is cut or no pickle, or asks for anything such a set doesn't need.
    """
    try:
        _check_opcodes(data)
        return _Unpickler(data).load()
    except _RefusedError as error:
        raise DataError(
            f"{place} must be a `.bin` set, a pickle of images and labels alone; it holds "
            f"{error}: nothing of it was run; get the set from a source you trust"
        ) from None
    # A stream that misuses lists and numbers fails in one of many ways.
    except Exception as error:
        reason = " ".join(str(error).split())[:80]
        raise DataError(
            f"{place} must be a `.bin` set, a whole pickle of images and labels, reading it "
            f"failed ({type(error).__name__}: {reason}): copy or export it again"
        ) from None


class _RefusedError(Exception):
    """The stream asks for something that no such set needs; the text says what."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="bytes")
        self._bytes_left = len(data)
        self._stands_for: dict[tuple[str, str], Any] = {
            **_STANDS_FOR,
            ("_codecs", "encode"): self._encode,
            ("numpy.core.numeric", "_frombuffer"): self._frombuffer,
            ("numpy._core.numeric", "_frombuffer"): self._frombuffer,
        }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in self._stands_for:
            raise _RefusedError(f"the name {f'{module_name}.{global_name}'[:60]!a}")
        return self._stands_for[module_name, global_name]

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("a persistent id")

    def _encode(self, text: Any, codec: Any) -> bytes:
        """Text of code points 0 to 255 to bytes."""
        latin = isinstance(codec, str) and codec.replace("-", "") == "latin1"
        _require(isinstance(text, str) and latin, "bytes written as Latin-1 text")
        self._spend(len(text))
        return str(text).encode("latin-1")

    def _frombuffer(self, buffer: Any, dtype: Any, shape: Any, *order: Any) -> Array:
        if isinstance(buffer, bytearray):
            self._spend(len(buffer))
            buffer = bytes(buffer)
        array = Array()
        array.fill(dtype, shape, buffer)
        return array

    def _spend(self, num_bytes: int) -> None:
        """A copy of something in the file; one of each fits in as many bytes as it has."""
        self._bytes_left -= num_bytes
        _require(self._bytes_left >= 0, "each image once")


def _reconstruct(subtype: Any, shape: Any, typecode: Any) -> Array:
    """An empty array, to be filled by its state."""
    return Array()


def _dtype(code: Any, align: Any = False, copy: Any = False) -> Dtype:
    found = _TYPE.fullmatch(_text(code))
    if found is None:
        raise _RefusedError(f"an array of type {_text(code)[:20]!a}")
    return Dtype(found[1], _text(code)[0] if _text(code)[0] in "<>" else "=")


def _scalar(dtype: Any, raw: Any) -> int | bool:
    _require(isinstance(dtype, Dtype) and isinstance(raw, bytes), "a number")
    _require(len(raw) == dtype.itemsize, "a number")
    return bool(dtype.number(raw)) if dtype.code == "b1" else int(dtype.number(raw))


_STANDS_FOR: dict[tuple[str, str], Any] = {
    # Only ever an argument of _reconstruct: no more than a mark, which cannot be called.
    ("numpy", "ndarray"): "numpy.ndarray",
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}


def _check_opcodes(data: bytes) -> None:
    """Read the stream without carrying it out; one that isn't whole raises ValueError."""
    for count, (opcode, argument, place) in enumerate(pickletools.genops(data)):
        if opcode.name not in _OPCODES:
            raise _RefusedError(f"the pickle opcode {opcode.name}")
        if count >= MAX_OPCODES:
            raise _RefusedError(f"more than {MAX_OPCODES} pickle opcodes")
        if opcode.name in _MEMO_WRITES and int(argument or 0) > count:
            raise _RefusedError(f"a memo place of {argument} after {count} opcodes")
        if opcode.name == "FRAME" and int(argument or 0) > len(data) - (place or 0):
            raise ValueError("a frame ends beyond the file")


def _require(held: bool, what: str) -> None:
    if not held:
        raise _RefusedError(f"something else than {what}")


def _text(value: Any) -> str:
    """Text; Python 2 wrote it as bytes."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    _require(isinstance(value, str) and value != "", "a name of a type")
    return str(value)
