"""Files of a run on any filesystem: a local path, or a URI that pyarrow opens (s3://, gs://).

A file is written under a temporary sibling name and renamed, so that a name that exists is whole.
Object stores have no rename and need none: an object appears when its upload is complete.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from pyarrow import fs

from lfs_ray.errors import RunError

Buffer: TypeAlias = bytes | bytearray | memoryview
TEMPORARY = ".tmp-"
_URI = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class Storage:
    """A folder; names are relative to it, with forward slashes.

    Args:
        url: local path or URI. Nothing is created before the first write.
        fsync: flush file and folder to the disk before a local write counts as done.

    Raises:
        RunError: when the URI can't be opened.
    """

    def __init__(self, url: str | os.PathLike[str], *, fsync: bool = True) -> None:
        self.url = os.fspath(url)
        self.fsync = fsync
        self._remote: fs.FileSystem | None = None
        if _URI.match(self.url):
            self._remote, self._root = _open_uri(self.url)
        else:
            self._root = os.path.abspath(os.path.expanduser(self.url))
        if isinstance(self._remote, fs.LocalFileSystem):
            self._remote = None  # file:// is a local path, and is written as safely

    def __reduce__(self) -> tuple[object, ...]:
        # A relative path would mean another folder to a process that runs elsewhere.
        return _reopen, (self.url if self._remote else self._root, self.fsync)

    @property
    def is_remote(self) -> bool:
        """Whether it is object storage or another filesystem that only pyarrow opens."""
        return self._remote is not None

    def path(self, name: str = "") -> str:
        """Full path of `name` for messages and for libraries that take a local path."""
        folder = self._root if self._remote is None else self.url.rstrip("/")
        return f"{folder}/{name}" if name else folder

    def read(self, name: str) -> bytes:
        """Whole content.

        Raises:
            FileNotFoundError: when there is no such file.
        """
        if self._remote is None:
            return Path(self._root, name).read_bytes()
        # Of a file the size is known, and all of it is one request; of a stream it is many.
        with self._remote.open_input_file(self._at(name)) as file:
            return bytes(file.read())

    def write(self, name: str, *parts: Buffer) -> int:
        """Write `parts` one after the other as one file; returns its size in bytes.

        Raises:
            RunError: the storage is full, read-only or out of reach.
        """
        # Refused before a remote upload starts, which its stream would end as if it were whole.
        size = sum(memoryview(part).nbytes for part in parts)
        try:
            if self._remote is None:
                _write_local(Path(self._root, name), parts, fsync=self.fsync)
            else:
                self._upload(name, parts)
        except OSError as error:
            raise RunError(
                f"the storage must take files, {self.path(name)} of {size} bytes could not be "
                f"written ({error.strerror or error}): make room or give access, then resume"
            ) from error
        return size

    def _upload(self, name: str, parts: Sequence[Buffer]) -> None:
        assert self._remote is not None
        self._remote.create_dir(os.path.dirname(self._at(name)), recursive=True)
        with self._remote.open_output_stream(self._at(name)) as stream:
            for part in parts:
                stream.write(part)

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""
        if self._remote is None:
            return os.path.exists(os.path.join(self._root, name))
        return bool(self._remote.get_file_info(self._at(name)).type != fs.FileType.NotFound)

    def size(self, name: str) -> int | None:
        """Size in bytes, None when there is no such file."""
        if self._remote is None:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(os.path.join(self._root, name))
                return found.st_size if stat.S_ISREG(found.st_mode) else None
            return None
        info = self._remote.get_file_info(self._at(name))
        return int(info.size) if info.type == fs.FileType.File else None

    def list(self, folder: str = "") -> list[str]:
        """Sorted names in `folder`, temporary ones left out; [] when it is absent."""
        if self._remote is None:
            try:
                names = os.listdir(os.path.join(self._root, folder))
            except FileNotFoundError:
                return []
        else:
            chosen = fs.FileSelector(self._at(folder), allow_not_found=True)
            names = [info.base_name for info in self._remote.get_file_info(chosen)]
        return sorted(name for name in names if not name.startswith(TEMPORARY))

    def delete(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with contextlib.suppress(FileNotFoundError):
            if self._remote is None:
                os.unlink(os.path.join(self._root, name))
            else:
                self._remote.delete_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


def _reopen(url: str, fsync: bool) -> Storage:
    return Storage(url, fsync=fsync)


def _open_uri(url: str) -> tuple[fs.FileSystem, str]:
    try:
        opened, root = fs.FileSystem.from_uri(url)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            f"storage must be a path or a URI that pyarrow opens, got {url!r} ({reason}): check it"
        ) from error
    return opened, str(root).rstrip("/")


def _write_local(path: Path, parts: Sequence[Buffer], *, fsync: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with open(temporary, "wb") as stream:
            for part in parts:
                stream.write(part)
            if fsync:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if fsync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
