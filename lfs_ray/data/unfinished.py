"""The directory of a packing that has not come to its end: locked, and kept for the next try.

Data flow: name of the set to make, plan of the packing -> here -> a hidden sibling directory that
`pack` fills; it gets the name of the set at the end. A plan says all that decides the result: what
was begun under another one is not continued.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lfs_ray.data.packed_writer import BOOKS_NAME, forget_books, sync_files
from lfs_ray.data.writer import refuse_existing
from lfs_ray.errors import DataError

_LOCK_NAME = "lock"
_PLAN_NAME = "plan.json"


def unfinished_path(dst: str | os.PathLike[str]) -> Path:
    """Where the packing of `dst` goes on until it is whole."""
    target = Path(dst)
    return target.parent / f".{target.name}.unfinished"


@contextmanager
def unfinished_directory(
    dst: str | os.PathLike[str], plan: Mapping[str, object], *, restart: bool
) -> Iterator[Path]:
    """Directory to pack into; after the block it is `dst`, after an error it stays to go on with.

    Args:
        dst: Directory to make.
        plan: Source and options as plain values; what is there must have been begun under it.
        restart: Begin again, whatever is there.

    Raises:
        DataError: `dst` exists or its parent cannot be written, another process is packing it, or
            what is there was begun under another plan.
    """
    refuse_existing(dst)
    folder = unfinished_path(dst)
    lock = _locked(folder, dst)
    try:
        if os.path.lexists(dst):  # the one who had the lock before came to the end
            shutil.rmtree(folder, ignore_errors=True)
            refuse_existing(dst)
        if restart:
            _clear(folder)
        _check_plan(folder, plan)
        yield folder
        _finish(folder, Path(dst))
    finally:
        os.close(lock)


def discard(folder: Path) -> None:
    """Remove an unfinished directory in which nothing is whole yet; the caller has its lock."""
    shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path, dst: str | os.PathLike[str]) -> int:
    """Descriptor of the directory's lock file, locked; another holder is refused."""
    file = folder / BOOKS_NAME / _LOCK_NAME
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # removed by its owner in between
        except OSError as error:
            raise DataError(f"{folder.parent} must be a writable directory ({error})") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(lock, 20, 0).decode(errors="replace") or "unknown"
            os.close(lock)
            raise DataError(
                f"{os.fspath(dst)} must be packed by one process at a time, process {holder} is "
                "packing it: wait for it, or choose another name"
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(file)):
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock
        os.close(lock)


def _clear(folder: Path) -> None:
    """Empty the directory, but keep the lock."""
    for entry in (*folder.iterdir(), *(folder / BOOKS_NAME).iterdir()):
        if entry.is_file() and entry.name != _LOCK_NAME:
            entry.unlink()


def _check_plan(folder: Path, plan: Mapping[str, object]) -> None:
    """Write the plan of a new directory; compare it with that of one to continue."""
    file = folder / BOOKS_NAME / _PLAN_NAME
    text = json.dumps(plan, indent=2, sort_keys=True, ensure_ascii=True) + "\n"
    try:
        found = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        _clear(folder)
        part = file.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
        return
    if found != text:
        raise DataError(
            f"{folder} must be continued with the sources and options it was begun with, "
            f"{_differences(found, text)} changed: repeat the first command, or give --restart to "
            "begin again"
        )


def _differences(found: str, wanted: str) -> str:
    try:
        before, after = json.loads(found), json.loads(wanted)
        names = [name for name in sorted(after) if before.get(name) != after[name]]
    except (ValueError, AttributeError):
        names = []
    return ", ".join(names) or "the plan"


def _finish(folder: Path, target: Path) -> None:
    """Give the whole set its name; what only the writer needed goes last."""
    try:
        os.rename(folder, target)
    except OSError:
        refuse_existing(target)  # another program was faster
        raise
    forget_books(target)
    sync_files(target.parent)
