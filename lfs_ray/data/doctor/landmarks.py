"""Landmarks of a set's images against the five-point template.

Data flow: landmark file -> here -> findings. A line is `key x1 y1 ... x5 y5`: left eye, right eye,
nose, left and right corner of the mouth, in pixels of the image; split at blanks or tabs from the
right, so that keys may hold blanks. Empty lines are ignored.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.crops import TEMPLATE_PX, TEMPLATE_SIDE_PX
from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.errors import DataError

OFF_PX = 8.0
"""An image is off when its five points lie on average further from the template, in pixels of
112: noses and mouths of faces turned to the side, warped by a similarity, are off by up to 6."""
OFF_SHARE = 0.05
"""So large a share of images that are off, or a mean of all images that is off by half as much,
is a fault."""
_NUMBERS = 10


def read_landmarks(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Five points x, y (5, 2) of each key.

    Raises:
        DataError: The file is missing or a line does not fit; names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"landmarks {path} must be a readable file ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"landmarks {path} must be UTF-8 text ({error.reason})") from None
    points: dict[str, NDArray[np.float64]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = line.rsplit(None, _NUMBERS)
        try:
            values = np.array(fields[1:], np.float64)
        except ValueError:
            values = np.empty(0)
        if len(values) != _NUMBERS or not np.isfinite(values).all():
            raise DataError(
                f'{path} line {number} must be "key x1 y1 ... x5 y5", got "{line.strip()[:60]}"'
            )
        points[fields[0].strip()] = values.reshape(5, 2)
    return points


def check_landmarks(
    specimen: Specimen, measured: Measured, points: dict[str, NDArray[np.float64]]
) -> list[Finding]:
    """Images whose points are far from the template, and those without points."""
    places = np.flatnonzero(measured.decoded).tolist()
    known = [place for place in places if specimen.keys[place] in points]
    missing = [place for place in places if specimen.keys[place] not in points]

    def name(place: int) -> str:
        return specimen.keys[place]

    findings = found("landmarks-missing", len(missing), named(missing, name))
    if not known:
        return findings
    offset_N52 = np.stack([_offset_px(specimen, measured, points, place) for place in known])
    off_N = np.linalg.norm(offset_N52, axis=2).mean(axis=1)
    wrong = off_N > OFF_PX
    mean_px = offset_N52.mean(axis=(0, 1))
    all_off = bool(np.linalg.norm(mean_px) > OFF_PX / 2) or float(np.median(off_N)) > OFF_PX / 2
    if not (all_off or wrong.mean() > OFF_SHARE):
        return findings
    worst = np.argsort(-off_N, kind="stable")

    def described(row: int) -> str:
        return f"{name(known[row])}: {off_N[row]:.1f} px"

    return findings + found(
        "landmarks-off",
        len(known) if all_off else int(wrong.sum()),
        named(worst, described),
        f"mean offset {mean_px[0]:+.1f} px right, {mean_px[1]:+.1f} px down of 112; median "
        f"distance {np.median(off_N):.1f} px",
    )


def _offset_px(
    specimen: Specimen,
    measured: Measured,
    points: dict[str, NDArray[np.float64]],
    place: int,
) -> NDArray[np.float64]:
    """Offset (5, 2) from the template, brought to 112 pixels as the image would be."""
    height, width = measured.height_width_px[place].tolist()
    side = min(height, width)
    corner = np.array([(width - side) // 2, (height - side) // 2])
    found_px = (points[specimen.keys[place]] - corner) * (TEMPLATE_SIDE_PX / side)
    return np.asarray(found_px - TEMPLATE_PX)
