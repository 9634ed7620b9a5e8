"""Image folder: one folder a class, its name is the class name.

Data flow: `class/image.ext` files -> here -> the packing pipeline. The label is the rank of the
folder's name in string order ("10" before "2"); a key is the path of the image below the root.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.listing import Keys
from lfs_ray.data.packing.fingerprint import Fingerprint
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_FIRST_BYTES = 1 << 14  # memory for this much is had and given back faster than for more
_MORE_BYTES = 1 << 18


class FolderSource:
    """Images of a folder of class folders; other files by their suffix are left out, and hidden.

    Raises:
        DataError: Images directly in the root, no class folder, a folder within a class, a class
            without images.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        folders, loose = _entries(root)
        images = [entry for entry in loose if is_image(entry.name)]
        if images or not folders:
            found = f"the image {images[0].name} lies" if images else "no folder lies"
            raise DataError(
                f"{root} must hold one folder of images a class, {found} directly in it"
            )
        total = Fingerprint()
        self._keys, self.labels, others = _read_classes(folders, total)
        self.class_names: Sequence[str] = [folder.name for folder in folders]
        self.facts: Mapping[str, object] = {"kind": "folder", "files_left_out": others}
        self.fingerprint = total.text()

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, start: int, stop: int) -> list[Record]:
        """Bytes of the image files, as they are; DataError names the file that cannot be read."""
        root = os.fspath(self._root)
        records: list[Record] = []
        labels = self.labels[start:stop].tolist()
        for code, label in zip(self._keys.some(start, stop), labels, strict=True):
            key = code.decode("utf-8", "surrogateescape")
            records.append(Record(key, read_image_file(f"{root}/{key}"), label))
        return records


def is_image(name: str) -> bool:
    """Whether a file name has the suffix of an image."""
    stem, dot, suffix = name.rpartition(".")
    return bool(stem) and dot + suffix.lower() in IMAGE_SUFFIXES


def read_image_file(path: str | Path) -> bytes:
    """Bytes of a file; DataError when it cannot be read."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read_all(number)
        finally:
            os.close(number)
    except OSError as error:
        raise DataError(f"image {path} must be readable ({error.strerror})") from None


def _read_all(number: int) -> bytes:
    """Content of an open file; one system call for most images."""
    first = os.read(number, _FIRST_BYTES)
    if len(first) < _FIRST_BYTES:
        return first
    parts = [first]
    while part := os.read(number, _MORE_BYTES):
        parts.append(part)
    return b"".join(parts)


def _read_classes(
    folders: Sequence[os.DirEntry[str]], total: Fingerprint
) -> tuple[Keys, NDArray[np.int32], int]:
    """Keys and labels of all images, class by class, and the number of other files."""
    text = bytearray()
    ends, labels = array("q"), array("i")
    others = 0
    for label, folder in enumerate(folders):
        images, left_out = _class_images(folder)
        others += left_out
        for image in images:
            key = f"{folder.name}/{image.name}"
            total.add(key, _status(image))
            text += key.encode("utf-8", "surrogateescape")
            ends.append(len(text))
            labels.append(label)
    return Keys(bytes(text), np.array(ends, np.int64)), np.array(labels, np.int32), others


def _class_images(folder: os.DirEntry[str]) -> tuple[list[os.DirEntry[str]], int]:
    """Images of a class folder, sorted by name, and the number of other files."""
    inner, files = _entries(Path(folder.path))
    if inner:
        raise DataError(
            f"a class folder must hold images only, {folder.path} holds the folder {inner[0].name}"
        )
    images = [entry for entry in files if is_image(entry.name)]
    if not images:
        raise DataError(
            f"every class must have an image, folder {folder.path} has none: remove it"
        )
    return images, len(files) - len(images)


def _entries(folder: Path) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Folders and other entries that are not hidden, sorted by name."""
    try:
        with os.scandir(folder) as found:
            shown = sorted((e for e in found if e.name[0] != "."), key=attrgetter("name"))
    except OSError as error:
        raise DataError(f"{folder} must be a readable folder ({error.strerror})") from None
    folders: list[os.DirEntry[str]] = []
    others: list[os.DirEntry[str]] = []
    for entry in shown:
        (folders if entry.is_dir() else others).append(entry)
    return folders, others


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError as error:
        raise DataError(f"image {entry.path} must be readable ({error.strerror})") from None
