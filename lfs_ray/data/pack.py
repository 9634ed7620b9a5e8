"""Pack images into an LMDB data set: from a folder of classes, or from a list file.

Data flow: image files -> here -> records -> `writer` -> a packed directory for `sources`. An
image file keeps its bytes unless it is resized; its key is its path below the source.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import simplejpeg

from lfs_ray.data.decode import decode_image, image_size, resize_image
from lfs_ray.data.listing import check_labels, read_list
from lfs_ray.data.prefetch import ordered_map
from lfs_ray.data.writer import Record, refuse_existing, write_packed
from lfs_ray.errors import DataError

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_AHEAD = 256


@dataclass(frozen=True, slots=True)
class _Plan:
    """What there is to pack."""

    files: list[tuple[str, Path, int]]
    """Key, file and label of each image, in the order of the list."""
    class_names: list[str]
    """Name of each class."""
    source: dict[str, object]
    """Where it came from, for the manifest."""


def pack(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    list_file: str = "",
    size_px: int = 0,
    quality: int = 95,
    threads: int = 1,
) -> dict[str, object]:
    """Pack `src` into the new directory `dst`.

    A folder holds one folder a class; the label is the rank of its name in string order ("10"
    before "2"), and hidden files and files that are no images by their suffix are left out. A list
    file holds `path label` lines; paths are relative to `src`, or else to the folder of the list.

    Args:
        src: Image folder, or the list file itself.
        dst: Directory to make.
        list_file: List file of images below `src`; "" for a folder of classes.
        size_px: Side to resize to (the middle square, JPEG again); 0 keeps the files as they are.
        quality: JPEG quality of resized images, 1 to 100.
        threads: Threads that read, and resize.

    Returns:
        The manifest, as written to `dst`.

    Raises:
        DataError: `dst` exists, nothing to pack, an empty class, an unreadable image, a bad list.
    """
    if size_px < 0 or not 1 <= quality <= 100 or threads < 1:
        raise DataError(
            f"packing needs size_px >= 0, quality 1 to 100 and threads >= 1, got "
            f"{size_px}, {quality} and {threads}"
        )
    refuse_existing(dst)
    place = Path(src)
    if place.is_file() and not list_file:
        place, list_file = place.parent, str(place)
    if not place.is_dir():
        raise DataError(f"{place} must be a folder of images or a list file, nothing lies there")
    plan = _plan_list(place, Path(list_file)) if list_file else _plan_folder(place)
    if size_px:
        plan.source.update(resized_to_px=size_px, jpeg_quality=quality)

    def load(file: tuple[str, Path, int]) -> Record:
        key, path, label = file
        return Record(key, _image_bytes(path, size_px, quality), label)

    records = ordered_map(load, plan.files, threads=threads, ahead=_AHEAD)
    try:
        return write_packed(dst, records, class_names=plan.class_names, source=plan.source)
    finally:
        records.close()


def _plan_folder(root: Path) -> _Plan:
    folders = sorted((entry for entry in _shown(root) if entry.is_dir()), key=lambda p: p.name)
    loose = [entry for entry in _shown(root) if entry.is_file() and _is_image(entry)]
    if loose or not folders:
        found = f"the image {loose[0].name} lies" if loose else "no folder lies"
        raise DataError(f"{root} must hold one folder of images a class, {found} directly in it")
    files: list[tuple[str, Path, int]] = []
    left_out = 0
    for label, folder in enumerate(folders):
        images, others = _class_images(folder)
        files += [(f"{folder.name}/{image.name}", image, label) for image in images]
        left_out += others
    source: dict[str, object] = {"kind": "folder", "files_left_out": left_out}
    return _Plan(files, [folder.name for folder in folders], source)


def _class_images(folder: Path) -> tuple[list[Path], int]:
    """Images of a class folder, sorted by name, and the number of other files."""
    entries = sorted(_shown(folder), key=lambda p: p.name)
    inner = [entry for entry in entries if entry.is_dir()]
    if inner:
        raise DataError(
            f"a class folder must hold images only, {folder} holds the folder {inner[0].name}"
        )
    images = [entry for entry in entries if _is_image(entry)]
    if not images:
        raise DataError(f"every class must have an image, folder {folder} has none: remove it")
    return images, len(entries) - len(images)


def _plan_list(root: Path, list_file: Path) -> _Plan:
    listing = read_list(list_file)
    num_classes = check_labels(listing, list_file)
    files: list[tuple[str, Path, int]] = []
    rows = zip(listing.keys, listing.labels.tolist(), listing.lines.tolist(), strict=True)
    for key, label, line in rows:
        candidates = [root / key, list_file.parent / key]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise DataError(
                f'{list_file} line {line} must name an image file below {root}, "{key}" is none'
            )
        files.append((key, path, label))
    names = [str(label) for label in range(num_classes)]
    return _Plan(files, names, {"kind": "list", "list_file": list_file.name})


def _image_bytes(path: Path, size_px: int, quality: int) -> bytes:
    try:
        blob = path.read_bytes()
        if not size_px or image_size(blob) == (size_px, size_px):
            return blob
        pixels = resize_image(decode_image(blob), size_px)
    except OSError as error:
        raise DataError(f"image {path} must be readable ({error.strerror})") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality, "RGB", "444")
    return jpeg


def _shown(folder: Path) -> Iterator[Path]:
    return (entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
