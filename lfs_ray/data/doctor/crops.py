"""Crops: whether the faces lie where the template has them, and in the same place in all sets.

Data flow: mean faces found by `face_location` -> here -> findings.
"""

from __future__ import annotations

import numpy as np

from lfs_ray.data.doctor.face_location import Crop
from lfs_ray.data.doctor.finding import Finding, found
from lfs_ray.data.doctor.measuring import Measured

SHIFT_PX = 4.0
"""A crop is wrong when the mean face lies further from the template, in pixels of 112."""
SCALE_SHARE = 0.1
"""A crop is wrong when the mean face is larger or smaller by more."""
CONTRAST = 0.11
"""Contrast of the mean face below which the images are aligned badly with each other: aligned
faces .19 and .22; scaled at random by 10 % and moved by 5 pixels .15, by 25 % and 12 .07."""
BLUR = 0.1
"""Contrast of the whole mean image below which the images have no common crop at all: aligned
faces .16, drawn faces .15, faces scaled at random by 45 % and moved by 22 pixels .083."""
MIN_IMAGES = 20
"""Fewer images have no mean to speak of."""


def check_crop(measured: Measured, crop: Crop) -> list[Finding]:
    """The fault `misaligned`, or nothing; a set without a visible face is not judged."""
    num_images = int(measured.decoded.sum())
    if num_images < MIN_IMAGES:
        return []
    return found("misaligned", num_images if _faults(crop) else 0, _faults(crop), crop.words())


def check_crops_agree(own: Crop, others: dict[str, Crop]) -> list[Finding]:
    """Other sets, by path, whose faces lie elsewhere; sets without a face are not compared."""
    apart = [
        f"{path}: {crop.words()}; here: {own.words()}"
        for path, crop in others.items()
        if own.is_face and crop.is_face and _differ(own, crop)
    ]
    return found("crops-differ", len(apart), apart)


def _faults(crop: Crop) -> list[str]:
    if not crop.is_face:
        blurred = crop.blur < BLUR
        return ["the mean image is a blur: the images have no common crop"] * blurred
    off_px = float(np.hypot(crop.right_px, crop.down_px))
    checks = (
        (crop.turn_deg != 0, f"the faces are turned by {crop.turn_deg} degrees"),
        (off_px > SHIFT_PX, f"the faces lie {off_px:.0f} of 112 pixels off"),
        (
            abs(crop.scale - 1) > SCALE_SHARE + 1e-9,
            f"the faces are {crop.scale:.2f} times as large",
        ),
        (crop.contrast < CONTRAST, "the mean face is blurred: the images are not aligned alike"),
    )
    return [text for wrong, text in checks if wrong]


def _differ(one: Crop, other: Crop) -> bool:
    off_px = float(np.hypot(one.right_px - other.right_px, one.down_px - other.down_px))
    apart = off_px > SHIFT_PX or abs(one.scale / other.scale - 1) > SCALE_SHARE + 1e-9
    return apart or one.turn_deg != other.turn_deg
