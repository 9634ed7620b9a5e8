"""LMDB environments of this process: opened on first use, shared, checked before they are read.

Data flow: path of an LMDB -> here -> read-only environment -> `store`. A process may hold one
environment a file, so that all stores of a file share it; the last one to go closes it. A forked
child starts with none and opens its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from weakref import WeakValueDictionary

import lmdb

from lfs_ray.errors import DataError

LMDB_FILES = ("data.lmdb", "data.mdb")

_FileId = tuple[int, int]
_environments: WeakValueDictionary[_FileId, lmdb.Environment] = WeakValueDictionary()
_lock = threading.Lock()


def find_lmdb(path: str | os.PathLike[str]) -> str | None:
    """Absolute path of the LMDB file that `path` is or holds (data.lmdb, data.mdb), else None."""
    place = Path(os.path.abspath(path))
    if place.is_file():
        return str(place)
    for name in LMDB_FILES:
        inside = place / name
        if inside.is_dir():
            return find_lmdb(inside)
        if inside.is_file():
            return str(inside)
    return None


def shared_environment(file: str) -> lmdb.Environment:
    """Read-only environment of an LMDB file; keep the result as long as it is used.

    No locks (nobody writes a packed set), no read-ahead (keys are read in random order).

    Raises:
        DataError: The file is missing, unreadable, no LMDB, or shorter than its own page count.
    """
    try:
        status = os.stat(file)
    except OSError as error:
        raise DataError(f"LMDB {file} must be a readable file ({error.strerror})") from None
    with _lock:
        env = _environments.get((status.st_dev, status.st_ino))
        if env is None:
            env = _open(file)
            _check_whole(env, file, status.st_size)
            _environments[status.st_dev, status.st_ino] = env
        return env


def _open(file: str) -> lmdb.Environment:
    open_lmdb: Callable[..., lmdb.Environment] = lmdb.open
    try:
        return open_lmdb(
            file, subdir=False, readonly=True, lock=False, readahead=False, create=False
        )
    except lmdb.Error as error:
        raise DataError(f"{file} must be an LMDB file this user can read ({error})") from None


def _check_whole(env: lmdb.Environment, file: str, size_bytes: int) -> None:
    """Refuse a cut file: reading past its end would kill the process by a bus error."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if size_bytes < needed:
        env.close()
        raise DataError(
            f"LMDB {file} must have {needed} bytes, it has {size_bytes}: "
            "the copy is cut off, copy it again"
        )


def _forget_parent() -> None:
    """In a forked child: drop the parent's environments (LMDB forbids their use) and its lock."""
    global _lock
    _lock = threading.Lock()
    for env in list(_environments.values()):
        env.close()
    _environments.clear()


os.register_at_fork(after_in_child=_forget_parent)
