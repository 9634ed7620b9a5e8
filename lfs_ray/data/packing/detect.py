"""The source that lies at a path, chosen by its kind or by what lies there.

Data flow: command line -> here -> `ImageSource` -> the packing pipeline.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lfs_ray.data.packing.folder import FolderSource
from lfs_ray.data.packing.list_file import ListSource
from lfs_ray.data.packing.source import ImageSource
from lfs_ray.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What the opener of a source may be told beside its path; "" leaves it to the format."""

    list_file: str = ""
    """List of the images to take: of a folder, or of an LMDB."""
    image_column: str = ""
    """Parquet: column of encoded images."""
    label_column: str = ""
    """Parquet: column of labels."""
    key_column: str = ""
    """Parquet: column of keys."""


def _open_folder(place: Path, options: SourceOptions) -> ImageSource:
    return FolderSource(place)


def _open_list(place: Path, options: SourceOptions) -> ImageSource:
    if options.list_file:
        return ListSource(place, Path(options.list_file))
    return ListSource(place.parent, place)


KINDS: dict[str, Callable[[Path, SourceOptions], ImageSource]] = {
    "folder": _open_folder,
    "list": _open_list,
}


def open_source(
    path: str | os.PathLike[str],
    *,
    kind: str = "auto",
    list_file: str = "",
    image_column: str = "",
    label_column: str = "",
    key_column: str = "",
) -> ImageSource:
    """Open the images at `path`.

    Args:
        path: Folder, file, or pattern of files (`train-{0000..0009}.tar`, `part-*.parquet`).
        kind: A name of `KINDS`, or "auto": by what lies at `path`.
        list_file: List of the images to take, of a folder or an LMDB.
        image_column: Parquet: column of encoded images, "image" when "".
        label_column: Parquet: column of labels, "label" when "".
        key_column: Parquet: column of keys; "" numbers the rows.

    Raises:
        DataError: Nothing lies there, nothing that can be packed, or a source that is broken.
    """
    options = SourceOptions(
        list_file=list_file,
        image_column=image_column,
        label_column=label_column,
        key_column=key_column,
    )
    if kind != "auto" and kind not in KINDS:
        raise DataError(f'kind of source must be auto, {", ".join(KINDS)}, got "{kind}"')
    place = Path(path)
    return KINDS[_kind_of(place, options) if kind == "auto" else kind](place, options)


def _kind_of(place: Path, options: SourceOptions) -> str:
    if options.list_file or place.is_file():
        return "list"
    if place.is_dir():
        return "folder"
    raise DataError(f"{place} must be a folder of images or a list file, nothing lies there")
