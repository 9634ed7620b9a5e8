"""What the decode pass saw: images that are missing, broken, of odd size, grey or blank.

Data flow: `Measured` -> here -> findings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.specimen import Specimen

USUAL_SHARE = 0.9
"""A size is the set's usual one when so large a share of the images has it; others are odd."""


def check_images(specimen: Specimen, measured: Measured) -> list[Finding]:
    """Findings about single images."""

    def which(wrong: NDArray[np.bool_]) -> tuple[int, list[str]]:
        places = np.flatnonzero(wrong)
        return len(places), [specimen.keys[int(place)] for place in places[:10]]

    undecodable = specimen.is_there & ~measured.decoded
    return [
        *found("missing-images", *which(~specimen.is_there)),
        *found(
            "undecodable-images",
            int(undecodable.sum()),
            [text for _, text in _reasons(specimen, measured)],
        ),
        *_sizes(specimen, measured),
        *found("grey-images", *which(measured.grey & measured.decoded & ~measured.blank)),
        *found("blank-images", *which(measured.blank & measured.decoded)),
        *found("odd-encodings", *which(measured.odd_encoding)),
    ]


def _reasons(specimen: Specimen, measured: Measured) -> list[tuple[int, str]]:
    return [
        (place, reason if specimen.keys[place] in reason else f"{specimen.keys[place]}: {reason}")
        for place, reason in measured.reasons
    ]


def size_table(measured: Measured) -> list[tuple[int, int, int]]:
    """Height, width and number of images of each size, the most frequent first."""
    sizes, counts = np.unique(
        measured.height_width_px[measured.decoded], axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    return [(int(sizes[place, 0]), int(sizes[place, 1]), int(counts[place])) for place in order]


def _sizes(specimen: Specimen, measured: Measured) -> list[Finding]:
    table = size_table(measured)
    if len(table) < 2:
        return []
    height, width, usual = table[0]
    total = sum(count for *_, count in table)
    if usual < USUAL_SHARE * total:
        shown = (f"{count} of {high} x {wide}" for high, wide, count in table)
        return found("mixed-sizes", len(table), shown, "height x width in pixels")
    odd = measured.decoded & (measured.height_width_px != (height, width)).any(axis=1)

    def described(place: int) -> str:
        high, wide = measured.height_width_px[place]
        return f"{specimen.keys[place]}: {high} x {wide}"

    return found(
        "odd-sizes",
        int(odd.sum()),
        named(np.flatnonzero(odd), described),
        f"{usual} of {total} are {height} x {width} pixels",
    )
