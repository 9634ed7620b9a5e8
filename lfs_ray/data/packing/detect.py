"""The source that lies at a path, chosen by its kind or by what lies there.

Data flow: command line -> here -> `ImageSource` -> the packing pipeline.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lfs_ray.data.environment import find_lmdb
from lfs_ray.data.packing.file_names import expand, is_pattern
from lfs_ray.data.packing.folder import FolderSource
from lfs_ray.data.packing.list_file import ListSource
from lfs_ray.data.packing.lmdb import LmdbSource
from lfs_ray.data.packing.parquet import ParquetSource
from lfs_ray.data.packing.recordio import RecordIOSource
from lfs_ray.data.packing.source import ImageSource
from lfs_ray.data.packing.tars import TAR_SUFFIXES, TarSource
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


def _open_recordio(place: Path, options: SourceOptions) -> ImageSource:
    return RecordIOSource(place)


def _open_tars(place: Path, options: SourceOptions) -> ImageSource:
    return TarSource(place)


def _open_parquet(place: Path, options: SourceOptions) -> ImageSource:
    return ParquetSource(place, options.image_column, options.label_column, options.key_column)


def _open_lmdb(place: Path, options: SourceOptions) -> ImageSource:
    return LmdbSource(place, options.list_file)


KINDS: dict[str, Callable[[Path, SourceOptions], ImageSource]] = {
    "folder": _open_folder,
    "list": _open_list,
    "recordio": _open_recordio,
    "webdataset": _open_tars,
    "parquet": _open_parquet,
    "lmdb": _open_lmdb,
}
_KINDS_BY_SUFFIX = {
    "recordio": (".rec",),
    "webdataset": TAR_SUFFIXES,
    "parquet": (".parquet",),
    "lmdb": (".lmdb", ".mdb"),
}
# An LMDB file begins with a page head of 16 bytes, then this.
_LMDB_MAGIC = b"\xde\xc0\xef\xbe"


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
    if is_pattern(place):
        return _kind_of_file(expand(place)[0])
    if place.is_dir():
        if find_lmdb(place):
            return "lmdb"
        return "list" if options.list_file else _kind_of_folder(place)
    if place.is_file():
        return _kind_of_file(place)
    raise DataError(
        f"{place} must be a folder of images, a list, an LMDB, or .rec, .tar or .parquet files, "
        "nothing lies there"
    )


def _kind_of_folder(place: Path) -> str:
    """By the files directly in the folder, or Parquet files in its folder `data`."""
    names = [file.name for file in place.iterdir() if file.is_file() and file.name[0] != "."]
    kinds = [
        kind
        for kind, suffixes in _KINDS_BY_SUFFIX.items()
        if kind != "lmdb" and any(name.endswith(suffixes) for name in names)
    ]
    if len(kinds) > 1:
        raise DataError(
            f"{place} must hold files of one kind, it holds {' and '.join(kinds)}: say which kind "
            "to take"
        )
    if not kinds and any((place / "data").glob("*.parquet")):
        return "parquet"
    return kinds[0] if kinds else "folder"


def _kind_of_file(file: Path) -> str:
    for kind, suffixes in _KINDS_BY_SUFFIX.items():
        if file.name.endswith(suffixes):
            return kind
    with file.open("rb") as opened:
        return "lmdb" if opened.read(20)[16:] == _LMDB_MAGIC else "list"
