"""Re-identification: queries and a gallery, each image with its person and its camera.

Data flow: Market-1501 folder or CSV -> here -> `ReidSet` -> embeddings -> CMC, mAP, mINP with the
same-camera rule. Market-1501 (Zheng et al., ICCV 2015): query/ and bounding_box_test/ hold files
0002_c1s1_000451_03.jpg (person 2, camera 1); person -1 is junk, which counts neither for nor
against; person 0 is a distractor, which matches nobody.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.protocols.locations import image_files, refuse_repeated
from lfs_ray.errors import DataError

_COLUMNS = ("path", "person", "camera", "role")
_NAME = re.compile(r"(-?\d+)_c(\d+)")
JUNK = "-1"


@dataclass(frozen=True, slots=True, eq=False)
class ReidImages:
    """N images of people seen by cameras."""

    keys: tuple[str, ...]
    """Images, (N,)."""
    person_N: NDArray[np.int64]
    """Person on each; numbers agree between queries and gallery, (N,)."""
    camera_N: NDArray[np.int64]
    """Camera of each, (N,)."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True, eq=False)
class ReidSet:
    """Queries and gallery; junk images of the gallery are left out."""

    query: ReidImages
    gallery: ReidImages
    junk: int
    """How many junk images were left out."""


def read_market1501(path: str | os.PathLike[str]) -> ReidSet:
    """Read a folder in the layout of Market-1501; keys begin with query/ or bounding_box_test/.

    Raises:
        DataError: A folder is missing or empty, or a file name has no person and camera.
    """
    rows = [
        (key, *_parse_name(key), role)
        for folder, role in (("query", "query"), ("bounding_box_test", "gallery"))
        for key in image_files(Path(path), folder)
    ]
    return _reid_set(rows, os.fspath(path))


def read_reid_csv(path: str | os.PathLike[str]) -> ReidSet:
    """Read a CSV with the columns path, person, camera, role (query or gallery), in any order.

    A person of -1 is junk; persons and cameras may be any text.

    Raises:
        DataError: The file is missing, a column is missing, or a line doesn't fit.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            if set(reader.fieldnames or ()) < set(_COLUMNS):
                raise DataError(
                    f"{path} line 1 must name the columns {','.join(_COLUMNS)}, got "
                    f"{','.join(reader.fieldnames or ())}"
                )
            rows = [_csv_row(row, f"{path} line {reader.line_num}") for row in reader]
    except OSError as error:
        raise DataError(f"list {path} must be a readable file ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"list {path} must be a CSV file in UTF-8 ({error})") from None
    return _reid_set(rows, os.fspath(path))


def _csv_row(row: dict[str, str], place: str) -> tuple[str, str, str, str]:
    values = [(row[column] or "").strip() for column in _COLUMNS]
    if not all(values) or values[3] not in ("query", "gallery"):
        raise DataError(
            f"{place} must have path, person, camera and a role query or gallery, got "
            f"{','.join(values)}"
        )
    return values[0], values[1], values[2], values[3]


def _parse_name(key: str) -> tuple[str, str]:
    found = _NAME.match(key.rsplit("/", 1)[-1])
    if found is None:
        raise DataError(f'file names must be like 0002_c1s1_000451_03.jpg, got "{key}"')
    return str(int(found[1])), found[2]


def _reid_set(rows: Sequence[tuple[str, str, str, str]], place: str) -> ReidSet:
    used = [row for row in rows if row[1] != JUNK]
    people = {name: number for number, name in enumerate(sorted({row[1] for row in used}))}
    cameras = {name: number for number, name in enumerate(sorted({row[2] for row in used}))}
    refuse_repeated([f"{row[3]} {row[0]}" for row in rows], place)
    query, gallery = (
        ReidImages(
            tuple(row[0] for row in chosen),
            np.array([people[row[1]] for row in chosen], np.int64),
            np.array([cameras[row[2]] for row in chosen], np.int64),
        )
        for chosen in ([row for row in used if row[3] == role] for role in ("query", "gallery"))
    )
    if not len(query) or not len(gallery):
        raise DataError(
            f"{place} must have queries and a gallery, found {len(query)} and {len(gallery)}"
        )
    if not np.isin(query.person_N, gallery.person_N).any():
        raise DataError(f"{place} must show a person of a query in the gallery too, none is there")
    return ReidSet(query, gallery, len(rows) - len(used))
