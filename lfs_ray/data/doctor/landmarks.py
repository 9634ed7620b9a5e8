"""Landmarks of a set's images against the five-point template.

Data flow: `Landmarks` of a file -> here -> findings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.align import TEMPLATE_52, TEMPLATE_SIZE_PX
from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.landmarks import Landmarks

OFF_PX = 8.0
"""An image is off when its five points lie on average further from the template, in pixels of
112: about a quarter of the distance between the eyes."""
OFF_SHARE = 0.05
"""So large a share of images that are off, or a mean of all images that is off by half as much,
is a fault."""


def check_landmarks(specimen: Specimen, measured: Measured, landmarks: Landmarks) -> list[Finding]:
    """Images whose points are far from the template, and those without points."""
    places = np.flatnonzero(measured.decoded)
    off_N = np.full(len(places), np.nan)
    total_2 = np.zeros(2)
    for row, place in enumerate(places.tolist()):
        points_52 = landmarks.find(specimen.keys[place])
        if points_52 is not None:
            offset_52 = _offset_px(measured, place, points_52)
            off_N[row] = np.linalg.norm(offset_52, axis=1).mean()
            total_2 += offset_52.mean(axis=0)
    known = ~np.isnan(off_N)

    def name(place: int) -> str:
        return specimen.keys[place]

    findings = found("landmarks-missing", int((~known).sum()), named(places[~known], name))
    if not known.any():
        return findings
    places, off_N = places[known], off_N[known]
    mean_px, middle_px = total_2 / len(places), float(np.median(off_N))
    wrong = off_N > OFF_PX
    all_off = max(float(np.linalg.norm(mean_px)), middle_px) > OFF_PX / 2
    if not (all_off or wrong.mean() > OFF_SHARE):
        return findings
    worst = np.argsort(-off_N, kind="stable")

    def described(row: int) -> str:
        return f"{name(int(places[row]))}: {off_N[row]:.1f} px"

    return findings + found(
        "landmarks-off",
        len(places) if all_off else int(wrong.sum()),
        named(worst, described),
        f"mean offset {mean_px[0]:+.1f} px right, {mean_px[1]:+.1f} px down of 112; median "
        f"distance {middle_px:.1f} px",
    )


def _offset_px(
    measured: Measured, place: int, points_52: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Offset (5, 2) from the template, brought to 112 pixels as the image would be."""
    height, width = measured.height_width_px[place].tolist()
    side = min(height, width)
    corner = np.array([(width - side) // 2, (height - side) // 2])
    found_px = (points_52 - corner) * (TEMPLATE_SIZE_PX / side)
    return np.asarray(found_px - TEMPLATE_52, np.float64)
