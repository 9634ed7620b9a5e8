"""The order of the colours: skin is redder than blue in every light that is usual.

Data flow: `Measured.red_blue` -> here -> finding. No model is needed; `data doctor --model` asks a
model, too.

Of 16,619 faces 1.3 % are bluer than red in the middle, of 9,056 (LFW) 0.1 %, of drawn faces 0.3 %.
"""

from __future__ import annotations

import numpy as np

from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.specimen import Specimen

SWAPPED_SHARE = 0.1
"""So large a share of bluish faces does not come from light: one of the joined sources, or all,
has its channels swapped."""
MIN_IMAGES = 20
"""Fewer images in colour are not judged."""


def check_colours(specimen: Specimen, measured: Measured) -> list[Finding]:
    """The fault `swapped-colours`, or nothing; grey images don't count."""
    coloured = measured.decoded & ~measured.grey
    bluish = coloured & (measured.red_blue < 0)
    num_coloured, num_bluish = int(coloured.sum()), int(bluish.sum())
    if num_coloured < MIN_IMAGES or num_bluish < SWAPPED_SHARE * num_coloured:
        return []
    middle = float(np.median(measured.red_blue[coloured]))
    return found(
        "swapped-colours",
        num_bluish,
        named(np.flatnonzero(bluish), lambda place: specimen.keys[place]),
        f"of {num_coloured} in colour; red less blue is {middle:+.0f} in the median image",
    )
