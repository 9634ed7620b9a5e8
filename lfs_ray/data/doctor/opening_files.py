"""Image files for examination: folders of class folders, and lists of files.

Data flow: folder or list -> here -> `Specimen`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lfs_ray.data.doctor.finding import found
from lfs_ray.data.doctor.lenient_list import read_leniently
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.listing import Keys
from lfs_ray.data.packing.folder import is_image
from lfs_ray.errors import DataError


def open_folder(root: Path, shown: str) -> Specimen:
    """Images at any depth; the class is the folder an image lies in, by rank of its path.

    Images directly in the root have no label. Hidden files and other files are passed over.

    Raises:
        DataError: There is no image at all.
    """
    folders = sorted(_image_folders(root))
    keys = [
        f"{folder}/{name}" if folder else name for folder, names, _ in folders for name in names
    ]
    if not keys:
        raise DataError(f"{shown} must hold images, in folders by class, it holds none")
    class_folders = [folder for folder, names, _ in folders if folder and names]
    rank = {folder: label for label, folder in enumerate(class_folders)}
    labels = [rank.get(folder, np.nan) for folder, names, _ in folders for _ in names]
    empty = [folder for folder, names, is_leaf in folders if folder and is_leaf and not names]
    place = os.path.abspath(root)
    packed_keys = Keys.of(os.fsencode(key) for key in keys)

    def fetch(index: int) -> bytes:
        return _read(place, packed_keys.encoded(index))

    return Specimen(
        path=shown,
        form="image folder",
        keys=_decodable(packed_keys),
        written_labels=np.array(labels, np.float64),
        fetch=fetch,
        class_names=[os.fsencode(f).decode(errors="backslashreplace") for f in class_folders],
        findings=tuple(found("empty-classes", len(empty), empty)),
    )


def open_file_list(root: Path, list_file: Path, shown: str) -> Specimen:
    """Images that a list names, below `root` or beside the list.

    Raises:
        DataError: The list cannot be read, or is of no known form.
    """
    listed = read_leniently(list_file)
    if not len(listed.keys):
        raise DataError(f"{list_file} must be a list of `path label` lines, none of its lines is")
    roots = (os.path.abspath(root), os.path.abspath(list_file.parent))
    found_in = np.array([_root_of(roots, key) for key in listed.keys], np.int8)

    def fetch(index: int) -> bytes:
        return _read(roots[int(found_in[index])], listed.keys.encoded(index))

    return Specimen(
        path=shown,
        form="list of image files",
        keys=listed.keys,
        written_labels=listed.labels,
        fetch=fetch,
        absent=found_in < 0,
        list_file=str(list_file),
        findings=listed.findings,
    )


def _image_folders(root: Path) -> list[tuple[str, list[str], bool]]:
    """Each folder: its path below the root, its images, and whether it holds no folder."""
    result: list[tuple[str, list[str], bool]] = []
    for here, inner, files in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        images = sorted(name for name in files if name[0] != "." and is_image(name))
        below = os.path.relpath(here, root).replace(os.sep, "/")
        result.append(("" if below == "." else below, images, not inner))
    return result


def _root_of(roots: tuple[str, ...], key: str) -> int:
    """Which root holds the file; -1 for none."""
    for number, root in enumerate(roots):
        if os.path.isfile(os.path.join(root, key)):
            return number
    return -1


def _read(root: str, key: bytes) -> bytes:
    path = os.path.join(os.fsencode(root), key)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        shown = os.fsdecode(path)
        raise DataError(f"image {shown} must be a readable file ({error.strerror})") from None


def _decodable(keys: Keys) -> Keys:
    """The same keys, with file names that are not UTF-8 made printable."""
    try:
        keys.text.decode()
        return keys
    except UnicodeDecodeError:
        parts = (keys.encoded(index) for index in range(len(keys)))
        return Keys.of(part.decode(errors="backslashreplace").encode() for part in parts)
