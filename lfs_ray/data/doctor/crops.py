"""Where the faces of a set lie: the mean face against the five-point template.

Data flow: `Measured.mean_face` -> here -> findings, and a line of the report. Single images differ
in pose and light; their mean, each divided by its contrast, is the same face for every set that is
aligned alike. Eyes, nose base and mouth are darker than what surrounds them, so the mean minus its
surroundings is compared, by normalised correlation, with four dark ovals at the places of the
template (deepinsight/insightface, 112x112), moved and scaled.

Measured on 16,619 and 9,056 aligned faces: likeness .82 and .80, found in the right place; when
the crops were moved by up to 16 pixels or scaled by .6 to 1.3, found there to 2 pixels and .05.
Sets of 20 of these faces had a likeness of .73 and more; drawn faces with free pose .51, noise
.40.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.align import TEMPLATE_SIZE_PX
from lfs_ray.data.doctor.finding import Finding, found
from lfs_ray.data.doctor.measuring import FACE_SIDE, Measured

FACE_LIKENESS = 0.6
"""From this correlation on, the mean image shows a face."""
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

_EYE_LIFT_PX = 1.0  # brows are dark, too: the middle of the dark oval lies above the pupil
_OVALS_PX = (  # x, y, half width, half height, darkness
    (38.3, 51.6 - _EYE_LIFT_PX, 7.0, 4.0, 1.0),
    (73.5, 51.6 - _EYE_LIFT_PX, 7.0, 4.0, 1.0),
    (56.0, 75.0, 6.0, 3.0, 0.5),
    (56.0, 91.3, 11.0, 4.0, 0.6),
)
_WINDOW_PX = ((22.0, 90.0), (38.0, 104.0))  # x, y compared: a hair line is not part of it
_SCALES = np.round(np.arange(0.5, 1.625, 0.05), 2)
_MAX_SHIFT_CELLS = 12
_CELL_PX = TEMPLATE_SIZE_PX / FACE_SIDE
_SURROUNDINGS_CELLS, _NOISE_CELLS = 5.0, 1.0
_SEEN_SHARE = 0.85  # of the window, that must lie inside the image
_PADDED = 2 * FACE_SIDE + 16

Field = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crop:
    """Where the mean face lies."""

    likeness: float
    """Correlation with the template, -1 to 1."""
    scale: float
    """Size of the face relative to the template."""
    right_px: float
    """How far right of the template's place, in pixels of 112."""
    down_px: float
    """How far below it."""
    contrast: float
    """Standard deviation of the mean face about its surroundings, in contrasts of an image."""
    blur: float
    """The same of the whole mean image."""
    turn_deg: int
    """By how much it is turned to the left: 0, 90, 180, 270; its place is that after turning it
    back."""

    @property
    def is_face(self) -> bool:
        """Whether the mean image shows a face."""
        return self.likeness >= FACE_LIKENESS

    def words(self) -> str:
        """One line for the report."""
        if not self.is_face:
            return f"no face like the template in the mean image (likeness {self.likeness:.2f})"
        head = f"turned by {self.turn_deg} degrees, " if self.turn_deg else ""
        return (
            f"mean face {head}{self.right_px:+.0f} px right, {self.down_px:+.0f} px down, "
            f"scale {self.scale:.2f} (of 112 px; likeness {self.likeness:.2f}, contrast "
            f"{self.contrast:.2f})"
        )


def locate_face(mean_face: Field) -> Crop:
    """Find the template in a mean face (56, 56), upright or turned by quarters."""
    turned = (_locate(np.rot90(mean_face, -quarter), 90 * quarter) for quarter in range(4))
    return max(turned, key=lambda crop: crop.likeness)


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


def _locate(mean_face: Field, turn_deg: int) -> Crop:
    dark = _smooth(mean_face, _SURROUNDINGS_CELLS) - _smooth(mean_face, _NOISE_CELLS)
    spectra = [_spectrum(part) for part in (np.ones_like(dark), dark, dark**2)]
    best = max((_best_shift(spectra, float(scale)) for scale in _SCALES), key=lambda crop: crop[0])
    likeness, scale, right, down, contrast = best
    shift = right * _CELL_PX, down * _CELL_PX
    return Crop(likeness, scale, *shift, contrast, float(dark.std()), turn_deg)


def _best_shift(
    spectra: list[NDArray[np.complex128]], scale: float
) -> tuple[float, float, int, int, float]:
    """Likeness, scale, shift right and down in cells, and contrast, at the best of all shifts.

    The window's part outside the image doesn't count: all sums are over what is inside.
    """
    template, window = _template(scale)
    count, total, squares = (_shifted_sums(spectrum, window) for spectrum in spectra)
    ours = [_shifted_sums(spectra[0], window * template**power) for power in (1, 2)]
    both = _shifted_sums(spectra[1], window * template)
    seen = np.maximum(count, 1)
    covariance = both - total * ours[0] / seen
    variance = np.maximum(squares - total**2 / seen, 0)
    own_variance = np.maximum(ours[1] - ours[0] ** 2 / seen, 0)
    likeness = covariance / np.sqrt(variance * own_variance + 1e-12)
    likeness[count < _SEEN_SHARE * window.sum()] = -1
    down, right = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
    contrast = float(np.sqrt(variance[down, right] / seen[down, right]))
    place = int(right) - _MAX_SHIFT_CELLS, int(down) - _MAX_SHIFT_CELLS
    return float(likeness[down, right]), scale, *place, contrast


def _template(scale: float) -> tuple[Field, Field]:
    """Darkness of the template scaled about the middle, and the window that is compared.

    Both lie on a grid larger than the image: a scaled window is not cut before it is moved.
    """
    middle = TEMPLATE_SIZE_PX / 2
    cells = (np.arange(_PADDED) - (_PADDED - FACE_SIDE) // 2 + 0.5) * _CELL_PX
    x, y = np.meshgrid((cells - middle) / scale + middle, (cells - middle) / scale + middle)
    darkness = np.zeros_like(x)
    for at_x, at_y, half_width, half_height, weight in _OVALS_PX:
        distance = ((x - at_x) / half_width) ** 2 + ((y - at_y) / half_height) ** 2
        darkness += weight * np.exp(-0.5 * distance)
    (left, right), (top, bottom) = _WINDOW_PX
    window = (x > left) & (x < right) & (y > top) & (y < bottom)
    return darkness, window.astype(np.float64)


def _spectrum(field: Field) -> NDArray[np.complex128]:
    """Transform of an image in the middle of the padded grid."""
    padded = np.zeros((_PADDED, _PADDED))
    start = (_PADDED - FACE_SIDE) // 2
    padded[start : start + FACE_SIDE, start : start + FACE_SIDE] = field
    return np.asarray(np.fft.rfft2(padded))


def _shifted_sums(spectrum: NDArray[np.complex128], pattern: Field) -> Field:
    """Sum of image times pattern, for each shift of the pattern down and right by -12 to 12."""
    product = np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(pattern)), s=pattern.shape)
    places = np.arange(-_MAX_SHIFT_CELLS, _MAX_SHIFT_CELLS + 1)
    return np.asarray(product[np.ix_(places, places)])


def _smooth(field: Field, radius_cells: float) -> Field:
    """Gaussian mean; at the border, of what is inside."""
    place = np.arange(FACE_SIDE)
    weights = np.exp(-0.5 * ((place[:, None] - place) / radius_cells) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights @ field @ weights.T)
