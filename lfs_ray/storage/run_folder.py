"""The folder of a run: names in, whole files out, on a local path or any URI that pyarrow opens.

Between everything that reads or writes a run and the two kinds of files below: a name that leads
out of the run is refused, a failure that may pass is waited for, and every other one is one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import pyarrow as pa
from pyarrow import fs

from lfs_ray.config.addresses import (
    CREDENTIALS_ADVICE,
    has_credentials,
    is_uri,
    joined,
    last_part,
)
from lfs_ray.errors import RunError
from lfs_ray.storage.inside import check_name
from lfs_ray.storage.local_files import TEMPORARY, LocalFiles
from lfs_ray.storage.remote_files import RemoteFiles, open_uri
from lfs_ray.storage.retry import GaveUpError, Patience

Buffer: TypeAlias = bytes | bytearray | memoryview
Answer = TypeVar("Answer")

RETRY_S = 60.0
_AGAIN = "give access, or wait until it answers, then try again"
_WORDS = {
    "read": ("give its files", _AGAIN),
    "looked up": ("give its files", _AGAIN),
    "listed": ("give its files", _AGAIN),
    "written": ("take files", "make room or give access, then resume"),
    "deleted": ("let files be deleted", _AGAIN),
}
"""What is done to a file -> what the storage must do, and what the user can."""


class Storage:
    """A folder; names are relative to it, with forward slashes.

    Every method raises RunError, in one line, when the storage fails for good or for longer than
    `retry_s`, and when a name leads out of the folder.

    Args:
        url: local path or URI, without credentials. Nothing is created before the first write.
        fsync: flush file and folder to the disk before a local write counts as done.
        retry_s: an operation that fails is tried again for so long, seconds; 0: never.
        known: the storage was reached before, by whoever sends it here: a bucket that is missing
            now is an outage, not a mistake in its name.

    Raises:
        RunError: the URI can't be opened, or holds credentials.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        fsync: bool = True,
        retry_s: float = RETRY_S,
        known: bool = False,
    ) -> None:
        self.url = os.fspath(url)
        self.fsync = fsync
        self.patience = Patience(limit_s=retry_s)
        self._files = _open(self.url, fsync, self.patience, known)

    def __reduce__(self) -> tuple[object, ...]:
        # A relative path would mean another folder to a process that runs elsewhere.
        files = self._files
        if isinstance(files, LocalFiles):
            return _reopen, (files.root, self.fsync, self.patience.limit_s, True)
        return _reopen, (self.url, self.fsync, self.patience.limit_s, files.known)

    @property
    def name(self) -> str:
        """Name of the folder: the last part of its path."""
        return last_part(self.path())

    @property
    def is_remote(self) -> bool:
        """Whether it is object storage or another filesystem that only pyarrow opens."""
        return not isinstance(self._files, LocalFiles)

    def path(self, name: str = "") -> str:
        """Full path of `name` for messages and for libraries that take a local path."""
        files = self._files
        if isinstance(files, LocalFiles):
            return os.path.join(files.root, name) if name else files.root
        return joined(self.url, name)

    def read(self, name: str) -> bytes:
        """Whole content.

        Raises:
            FileNotFoundError: when there is no such file.
        """
        return self.patiently("read", name, lambda: self._files.read(name))

    def write(self, name: str, *parts: Buffer) -> int:
        """Write `parts` one after the other as one file; returns its size in bytes."""
        views = [memoryview(part) for part in parts]  # what is none is refused before a write
        size = sum(view.nbytes for view in views)
        note = f" of {size} bytes"
        self.patiently("written", name, lambda: self._files.write(name, views), note=note)
        return size

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""
        return self.patiently("looked up", name, lambda: self._files.exists(name))

    def size(self, name: str) -> int | None:
        """Size in bytes, None when there is no such file."""
        return self.patiently("looked up", name, lambda: self._files.size(name))

    def list(self, folder: str = "") -> list[str]:
        """Sorted names in `folder`, temporary ones left out; [] when it is absent."""
        names = self.patiently("listed", folder, lambda: self._files.list(folder))
        return sorted(name for name in names if not name.startswith(TEMPORARY))

    def delete(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        self.patiently("deleted", name, lambda: self._files.delete(name))

    def sweep(self, folder: str) -> None:
        """Remove what killed processes left half-written in `folder`, an hour ago or more."""
        self.patiently("deleted", folder, lambda: self._files.sweep(folder))

    def patiently(
        self, done: str, name: str, action: Callable[[], Answer], *, note: str = ""
    ) -> Answer:
        """What `action` returns, which is repeated while it fails in a way that may pass.

        Args:
            done: what it does to `name`, a key of _WORDS.
            name: the file or folder.
            action: raises OSError where it fails.
            note: what more to say of the file.

        Raises:
            FileNotFoundError: the file to be read is not there.
            RunError: it failed for good or for too long.
        """
        check_name(name, self.path())
        try:
            return self.patience.call(action)
        except GaveUpError as error:
            if done == "read" and isinstance(error.__cause__, FileNotFoundError):
                raise error.__cause__ from None
            must, advice = _WORDS[done]
            raise RunError(
                f"the storage must {must}, {self.path(name)}{note} could not be {done} {error}: "
                f"{advice}"
            ) from error


def _reopen(url: str, fsync: bool, retry_s: float, known: bool) -> Storage:
    return Storage(url, fsync=fsync, retry_s=retry_s, known=known)


def _open(url: str, fsync: bool, patience: Patience, known: bool) -> LocalFiles | RemoteFiles:
    if has_credentials(url):
        raise RunError(
            f"the address of a storage must hold no credentials, found some in one that begins "
            f"with {url.partition('://')[0]}://: {CREDENTIALS_ADVICE}"
        )
    if not is_uri(url):
        return LocalFiles(os.path.abspath(os.path.expanduser(url)), fsync=fsync)
    try:
        # An address that never worked is told at once: it may be misspelt.
        filesystem, root = (patience if known else Patience(limit_s=0)).call(lambda: open_uri(url))
    except (GaveUpError, ValueError, pa.ArrowException) as error:
        reason = error.reason if isinstance(error, GaveUpError) else str(error).splitlines()[0]
        raise RunError(
            f"storage must be a path or a URI that pyarrow opens, got {url!r} ({reason}): check it"
        ) from error
    if isinstance(filesystem, fs.LocalFileSystem):
        return LocalFiles(root, fsync=fsync)  # file:// is a local path, and is written as safely
    return RemoteFiles(filesystem, root, known=known)
