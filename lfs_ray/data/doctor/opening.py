"""Open whatever lies at a path for examination: what training would refuse becomes a finding.

Data flow: path -> here -> `Specimen`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lfs_ray.data.doctor.opening_bin import open_bin
from lfs_ray.data.doctor.opening_files import open_file_list, open_folder
from lfs_ray.data.doctor.opening_lmdb import is_lmdb, open_lmdb
from lfs_ray.data.doctor.opening_records import open_records
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.environment import find_lmdb
from lfs_ray.data.listing import Keys
from lfs_ray.data.packing.detect import open_source
from lfs_ray.errors import DataError

_READ_AT_ONCE = 64


def open_specimen(path: str | os.PathLike[str], list_file: str = "") -> Specimen:
    """Open a set.

    Args:
        path: A packed set, an LMDB, a folder of class folders, a list of image files, a `.rec`
            file or its folder, a `.bin` verification set, tar shards or Parquet files.
        list_file: List of `key label` lines of an LMDB, or of images below a folder; "" for the
            list that lies inside.

    Raises:
        DataError: Nothing lies there, or it cannot be read at all.
    """
    place = Path(path)
    shown = os.fspath(path)
    if place.is_dir():
        return _open_directory(place, shown, list_file)
    if not place.is_file():
        return _open_packable(place, shown)
    if is_lmdb(place):
        return open_lmdb(place, shown, list_file)
    by_suffix: dict[str, Callable[[Path, str], Specimen]] = {
        ".rec": open_records,
        ".bin": open_bin,
        ".tar": _open_packable,
        ".parquet": _open_packable,
    }
    open_as = by_suffix.get(place.suffix.lower())
    return open_as(place, shown) if open_as else open_file_list(place.parent, place, shown)


def _open_directory(place: Path, shown: str, list_file: str) -> Specimen:
    if find_lmdb(place) is not None:
        return open_lmdb(place, shown, list_file)
    records = sorted(place.glob("*.rec"))
    if len(records) == 1:
        return open_records(records[0], shown)
    if len(records) > 1:
        names = ", ".join(file.name for file in records)
        raise DataError(f"{shown} must be one set, it holds {names}: give one of these files")
    if list_file:
        return open_file_list(place, Path(list_file), shown)
    return open_folder(place, shown)


def _open_packable(place: Path, shown: str) -> Specimen:
    """Any other source that can be packed; it is gone through once for keys and labels."""
    source = open_source(place)
    keys: list[bytes] = []
    labels: list[int] = []
    for start in range(0, len(source), _READ_AT_ONCE):
        for record in source.read(start, min(start + _READ_AT_ONCE, len(source))):
            keys.append(record.key.encode("utf-8", "backslashreplace"))
            labels.append(record.label)
    return Specimen(
        path=shown,
        form=str(source.facts.get("kind", "source")),
        keys=Keys.of(keys),
        written_labels=np.array(labels, np.float64),
        fetch=lambda place: source.read(place, place + 1)[0].image,
        class_names=source.class_names,
    )
