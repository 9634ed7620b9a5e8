"""Images by key: a folder of image files, or an LMDB of Datum messages.

Data flow: disk -> here -> encoded bytes or pixels -> `sources` (training) and the images of pair
lists (evaluation). Stores hold paths, not open files: they can be sent to other processes, where
the LMDB is opened at the first read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

import lmdb
import numpy as np
from numpy.typing import NDArray

from lfs_ray.data import datum
from lfs_ray.data.decode import Pixels, decode_image
from lfs_ray.data.environment import find_lmdb, shared_environment
from lfs_ray.errors import DataError


class ImageStore(Protocol):
    """Images by key."""

    @property
    def path(self) -> str:
        """Absolute path of the folder or LMDB file."""

    def read(self, key: str) -> bytes:
        """Encoded image of `key`; DataError if it is missing or stored as raw planes."""

    def image(self, key: str, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 of `key`; DataError if it is missing or undecodable."""

    def missing(self, keys: Iterator[str]) -> list[str]:
        """Those of `keys` that the store does not hold, in their order."""

    def keys(self) -> Iterator[str]:
        """All keys, sorted."""


class FolderStore:
    """Image files below a folder; a key is the path relative to it, with slashes."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(root)

    def read(self, key: str) -> bytes:
        """Bytes of the file.

        Raises:
            DataError: There is no such file, or it cannot be read.
        """
        try:
            return Path(self.path, key).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f'image "{key}" must be a file in {self.path} ({reason})') from None

    def image(self, key: str, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 in the colour order asked for.

        Raises:
            DataError: The file is missing or cannot be decoded.
        """
        blob = self.read(key)
        try:
            return decode_image(blob, colour)
        except DataError as error:
            raise DataError(f'image "{key}" in {self.path}: {error}') from None

    def missing(self, keys: Iterator[str]) -> list[str]:
        """Those of `keys` without a file, in their order."""
        return [key for key in keys if not Path(self.path, key).is_file()]

    def keys(self) -> Iterator[str]:
        """Relative paths of all files that are not hidden, sorted."""
        files = (
            file.relative_to(self.path) for file in Path(self.path).rglob("*") if file.is_file()
        )
        shown = (file for file in files if not any(part.startswith(".") for part in file.parts))
        return iter(sorted(file.as_posix() for file in shown))


class LmdbStore:
    """LMDB of Datum messages, given by its file or the directory it lies in."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = find_lmdb(path)
        if file is None:
            raise DataError(
                f"{os.fspath(path)} must be an LMDB: a file, or a directory with "
                "data.lmdb or data.mdb"
            )
        self.path = file
        self._env: lmdb.Environment | None = None
        self._pid = 0

    def read(self, key: str) -> bytes:
        """Encoded image of `key`.

        Raises:
            DataError: No such key, the LMDB cannot be read, or the record holds raw planes.
        """
        record = self._record(key)
        if record.shape_chw is not None:
            raise DataError(f'record "{key}" of {self.path} holds raw planes, no encoded image')
        return record.data

    def image(self, key: str, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 in the colour order asked for, encoded or raw.

        Raises:
            DataError: No such key, the LMDB cannot be read, or the image cannot be decoded.
        """
        record = self._record(key)
        if record.shape_chw is not None:
            rgb = record.planes_rgb()
            return rgb if colour == "rgb" else np.ascontiguousarray(rgb[..., ::-1])
        try:
            return decode_image(record.data, colour)
        except DataError as error:
            raise DataError(f'image "{key}" in {self.path}: {error}') from None

    @contextmanager
    def encoded(self, keys: Iterable[bytes]) -> Iterator[Iterator[memoryview | None]]:
        """Encoded image of each key (UTF-8), not copied: it lies in the LMDB's memory map.

        Each is looked up when it is taken.

        None stands for what `image` has to look at: no such key, raw planes, an unusual record.
        Images may be read inside of the context.
        """
        with self._environment().begin(buffers=True) as txn:
            yield (_encoded(txn, key) for key in keys)

    def missing(self, keys: Iterator[str]) -> list[str]:
        """Those of `keys` without a record, in their order; a million keys a second or two."""
        with self._environment().begin() as txn:
            cursor = txn.cursor()
            return [key for key in keys if not (key and cursor.set_key(key.encode()))]

    def keys(self) -> Iterator[str]:
        """All keys, sorted by their UTF-8 bytes."""
        with self._environment().begin() as txn:
            for key in txn.cursor().iternext(keys=True, values=False):
                yield key.decode(errors="backslashreplace")

    def __len__(self) -> int:
        return int(self._environment().stat()["entries"])

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_env": None, "_pid": 0}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    def _environment(self) -> lmdb.Environment:
        if self._env is None or self._pid != os.getpid():
            self._env = shared_environment(self.path)
            self._pid = os.getpid()
        return self._env

    def _record(self, key: str) -> datum.StoredImage:
        try:
            with self._environment().begin() as txn:
                value = txn.get(key.encode())
        except lmdb.Error as error:
            raise DataError(f'key "{key}" cannot be read from {self.path} ({error})') from None
        if value is None:
            raise DataError(f'key "{key}" must be in the LMDB {self.path}, it is not')
        try:
            return datum.decode(value)
        except DataError as error:
            raise DataError(f'record "{key}" of {self.path}: {error}') from None


def _encoded(txn: lmdb.Transaction, key: bytes) -> memoryview | None:
    try:
        value = txn.get(key)
    except lmdb.Error:  # `image` says what is wrong with the key
        return None
    # A transaction with buffers gives views, whatever its annotation says.
    return None if value is None else datum.encoded_part(cast(memoryview, value))


class NamedImages:
    """Images of a store by position in a list of keys; the label of each is its position."""

    def __init__(self, store: ImageStore, keys: Sequence[str]) -> None:
        self.store = store
        self.keys = tuple(keys)
        self.labels: NDArray[np.int64] = np.arange(len(self.keys))

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 of key `index`; DataError if it is missing or undecodable."""
        return self.store.image(self.keys[index], colour)


def open_store(path: str | os.PathLike[str]) -> FolderStore | LmdbStore:
    """Store of what lies at `path`: an LMDB (file or directory, a packed set too), else a folder.

    Raises:
        DataError: Nothing lies there, or a file that is no LMDB.
    """
    if find_lmdb(path) is not None:
        store = LmdbStore(path)
        len(store)
        return store
    if not os.path.isdir(path):
        raise DataError(
            f"{os.fspath(path)} must be a folder of images or an LMDB, nothing lies there"
        )
    return FolderStore(path)
