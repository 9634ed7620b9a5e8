"""Pickles that do harm when a trusting reader loads them, and streams that are broken.

`LIVE` ones make the file `sentinel` when they are loaded by plain pickle: a test proves it, so
that a reader which survives them has really been tried.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Maker = Callable[[Path], bytes]


def text(value: str) -> bytes:
    """Opcode that pushes text."""
    code = value.encode()
    return b"X" + struct.pack("<I", len(code)) + code


def stack_global(module: str, name: str) -> bytes:
    """Opcode that pushes a named object, as protocol 4 names it."""
    return text(module) + text(name) + b"\x93"


class _Reduced:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.parts


def _touch(sentinel: Path) -> str:
    return f"open({str(sentinel)!r}, 'w').close()"


def _in_images(bad: Any) -> bytes:
    """A set whose first image is not what it seems."""
    return pickle.dumps(([bad, b"second"], [True]), protocol=4)


def _getattr_chain(sentinel: Path) -> bytes:
    """getattr(getattr(len, '__self__'), 'exec')(code)."""
    getting = stack_global("builtins", "getattr")
    builtins = getting + stack_global("builtins", "len") + text("__self__") + b"\x86R"
    return (
        b"\x80\x04"
        + getting
        + builtins
        + text("exec")
        + b"\x86R"
        + text(_touch(sentinel))
        + b"\x85R."
    )


def _dunder_import(sentinel: Path) -> bytes:
    """getattr(__import__('os'), 'system')(command)."""
    module = stack_global("builtins", "__import__") + text("os") + b"\x85R"
    system = stack_global("builtins", "getattr") + module + text("system") + b"\x86R"
    return b"\x80\x04" + system + text(f"touch {sentinel}") + b"\x85R."


def _numpy_load(sentinel: Path) -> bytes:
    """numpy.load(file, None, True) of a file that holds another hostile pickle."""
    inner = sentinel.with_suffix(".npy")
    array = np.array([_Reduced(exec, _touch(sentinel))], dtype=object)
    np.save(inner, array, allow_pickle=True)
    return _in_images(_Reduced(np.load, str(inner), None, True))


def _dotted(sentinel: Path) -> bytes:
    """The exec behind an allowed module of NumPy, by a dotted name that protocol 4 follows."""
    return (
        b"\x80\x04"
        + stack_global("numpy._core.multiarray", "functools.wraps.__builtins__.get")
        + text("exec")
        + b"\x85R"
        + text(_touch(sentinel))
        + b"\x85R."
    )


def _inst(sentinel: Path) -> bytes:
    return b"(" + text(_touch(sentinel)) + b"ibuiltins\nexec\n."


def _obj(sentinel: Path) -> bytes:
    return b"(" + b"cbuiltins\nexec\n" + text(_touch(sentinel)) + b"o."


def _subprocess(sentinel: Path) -> bytes:
    command = b"](" + text("touch") + text(str(sentinel)) + b"e"
    return b"\x80\x04" + stack_global("subprocess", "call") + command + b"\x85R."


def _setstate(sentinel: Path) -> bytes:
    """A BUILD that calls __setstate__: functools.partial takes its function from the state."""
    return (
        b"\x80\x04"
        + stack_global("functools", "partial")
        + stack_global("builtins", "print")
        + b"\x85R"
        + b"("
        + stack_global("builtins", "exec")
        + text(_touch(sentinel))
        + b"\x85}Nt"
        + b"b)R."
    )


LIVE: dict[str, Maker] = {
    "os.system": lambda sentinel: _in_images(_Reduced(os.system, f"touch {sentinel}")),
    "eval": lambda sentinel: _in_images(_Reduced(eval, _touch(sentinel))),
    "exec": lambda sentinel: pickle.dumps(_Reduced(exec, _touch(sentinel)), protocol=2),
    "protocol 0": lambda sentinel: pickle.dumps(_Reduced(exec, _touch(sentinel)), protocol=0),
    "in the labels": lambda sentinel: pickle.dumps(
        ([b"a", b"b"], [_Reduced(exec, _touch(sentinel))]), protocol=5
    ),
    "numpy.load": _numpy_load,
    "object array": lambda sentinel: _in_images(
        np.array([_Reduced(exec, _touch(sentinel))], dtype=object)
    ),
    "getattr": _getattr_chain,
    "__import__": _dunder_import,
    "dotted name": _dotted,
    "INST": _inst,
    "OBJ": _obj,
    "subprocess": _subprocess,
    "__setstate__": _setstate,
}
"""By name; each makes the sentinel when loaded by plain pickle."""

_ROOMS = ("numpy.core.multiarray", "numpy._core.multiarray")
_U1 = stack_global("numpy", "dtype") + text("u1") + b"\x89\x88\x87R"
_ARRAY = stack_global(_ROOMS[1], "_reconstruct") + (
    stack_global("numpy", "ndarray") + b"K\0\x85C\x01b\x87R"
)


def _with_persistent_id() -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return "door" if isinstance(obj, bytes) else None

    file = io.BytesIO()
    Pickler(file, protocol=4).dump(([b"a", b"b"], [True]))
    return file.getvalue()


def _array_state(shape: bytes, dtype: bytes, raw: bytes) -> bytes:
    """An array built by a state of (1, shape, dtype, False, raw)."""
    return b"\x80\x04" + _ARRAY + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb."


def _dtype_state(*, names: bytes = b"N", code: str = "u1") -> bytes:
    made = stack_global("numpy", "dtype") + text(code) + b"\x89\x88\x87R"
    state = b"(K\x03" + text("|") + b"N" + names + b"NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return made + state


BROKEN: dict[str, bytes] = {
    "getattr": b"\x80\x04" + stack_global("builtins", "getattr") + b".",
    "__globals__": b"\x80\x04" + stack_global(_ROOMS[1], "_reconstruct.__globals__") + b".",
    "split otherwise": b"\x80\x04" + stack_global("numpy", "core.multiarray.scalar") + b".",
    "another room of numpy": b"\x80\x02cnumpy.core.multiarray\nfromstring\n.",
    "persistent id": _with_persistent_id(),
    "persistent id, text": b"Pdoor\n.",
    "extension 1": b"\x80\x02\x82\x01.",
    "extension 2": b"\x80\x02\x83\x01\x01.",
    "extension 4": b"\x80\x02\x84\x01\x01\x00\x00.",
    "newobj": b"\x80\x02cnumpy\ndtype\n)\x81.",
    "dictionary": pickle.dumps({"images": [], "labels": []}, protocol=4),
    "out-of-band buffer": b"\x80\x05\x97.",
    "ndarray is called": b"\x80\x04" + stack_global("numpy", "ndarray") + b"K\x08\x85R.",
    "array of objects": _array_state(b"K\x01\x85", _dtype_state(code="O8"), b"]"),
    "objects as bytes": _array_state(b"K\x01\x85", _U1, b"](K\x01e"),
    "dtype with fields": _array_state(b"K\x01\x85", _dtype_state(names=text("a")), b"C\x01a"),
    "shape without data": _array_state(b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85", _U1, b"C\x01a"),
    "negative shape": _array_state(b"J\xff\xff\xff\xff\x85", _U1, b"C\x01a"),
    "state of a list": b"\x80\x04]K\x01b.",
    "nothing": b"",
    "text": b"this is no pickle at all",
    "without an end": pickle.dumps(([b"a", b"b"], [True]))[:-1],
    "cut": pickle.dumps(([b"a" * 100, b"b" * 100], [True]))[:120],
    "length beyond the file": b"\x80\x04B\xff\xff\xff\x7fabc.",
    "eight-byte length": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"abc.",
    "frame beyond the file": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.",
    "memo bomb": b"\x80\x04]r\xff\xff\xff\x7f.",
    "marks": b"\x80\x02" + b"(" * 200_000 + b".",
    "empty stack": b"\x80\x02R.",
    "long number": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "copies of a buffer": b"\x80\x05"
    + stack_global("numpy._core.numeric", "_frombuffer")
    + b"\x94\x96"
    + struct.pack("<Q", 1000)
    + b"x" * 1000
    + b"\x94"
    + _U1
    + b"\x94M\xe8\x03\x85\x94X\x01\x00\x00\x00C\x94"
    + b"]("
    + b"h\x00(h\x01h\x02h\x03h\x04tR" * 50
    + b"e.",
    "copies": b"\x80\x02c_codecs\nencode\nq\x00"
    + text("x" * 1000)
    + b"q\x01"
    + text("latin1")
    + b"q\x02"
    + b"](h\x00h\x01h\x02\x86R"
    + b"h\x00h\x01h\x02\x86R" * 50
    + b"e.",
}
"""Refused by name, opcode or length before they can matter; broken in every other way too."""
