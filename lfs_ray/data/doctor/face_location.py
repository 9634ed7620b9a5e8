"""Where the faces of a set lie: the mean face against the five-point template.

Data flow: `Measured.mean_face` -> here -> `crops`, and a line of the report. Single images differ
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
from functools import cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.align import TEMPLATE_SIZE_PX
from lfs_ray.data.doctor.measuring import FACE_SIDE

FACE_LIKENESS = 0.6
"""From this correlation on, the mean image shows a face."""
TURNED_LEAD = 0.1
"""A face is taken for turned when turning it back makes it so much more like the template: upside
down, a good mean face still has .70."""

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
_TINY = 1e-12

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
    return max(turned, key=lambda crop: crop.likeness - TURNED_LEAD * bool(crop.turn_deg))


def _locate(mean_face: Field, turn_deg: int) -> Crop:
    dark = _smooth(mean_face, _SURROUNDINGS_CELLS) - _smooth(mean_face, _NOISE_CELLS)
    best = max((_best_shift(dark, _pattern(float(scale))) for scale in _SCALES), key=itemgetter(0))
    likeness, scale, right, down, contrast = best
    shift = right * _CELL_PX, down * _CELL_PX
    return Crop(likeness, scale, *shift, contrast, float(dark.std()), turn_deg)


@dataclass(frozen=True, slots=True, eq=False)
class _Pattern:
    """The template at one scale, at every shift; S shifts along each axis, F cells of the image.

    Window and ovals are products of a function of x and one of y, so that a sum over the image is
    two small matrix products for all shifts at once. What lies outside the image doesn't count.
    """

    scale: float
    window_x_SF: Field
    window_y_SF: Field
    ovals_x_OSF: Field
    ovals_y_OSF: Field
    """Ovals within the window, times their darkness."""
    count_SS: Field
    """Cells of the window inside the image, by shift down and right."""
    sum_SS: Field
    """Sum of the template over them."""
    variance_SS: Field
    """Sum of its squares about its mean."""


@cache
def _pattern(scale: float) -> _Pattern:
    windows, ovals = [], []
    for axis, centre, half in ((0, 0, 2), (1, 1, 3)):
        middle = TEMPLATE_SIZE_PX / 2
        cells_px = (np.arange(FACE_SIDE) + 0.5) * _CELL_PX
        shifts_px = np.arange(-_MAX_SHIFT_CELLS, _MAX_SHIFT_CELLS + 1) * _CELL_PX
        place_SF = (cells_px - middle - shifts_px[:, None]) / scale + middle
        low, high = _WINDOW_PX[axis]
        window_SF = ((place_SF > low) & (place_SF < high)).astype(np.float64)
        windows.append(window_SF)
        shapes = [
            np.exp(-0.5 * ((place_SF - oval[centre]) / oval[half]) ** 2) for oval in _OVALS_PX
        ]
        ovals.append(np.stack(shapes) * window_SF)
    ovals[1] = ovals[1] * np.array([oval[4] for oval in _OVALS_PX])[:, None, None]
    count_SS = np.outer(windows[1].sum(axis=1), windows[0].sum(axis=1))
    sum_SS = np.einsum("osf,otg->st", ovals[1], ovals[0], optimize=True)
    by_axis = [np.einsum("osf,psf->ops", part, part) for part in ovals]
    squares_SS = np.einsum("ops,opt->st", by_axis[1], by_axis[0])
    variance_SS = squares_SS - sum_SS**2 / np.maximum(count_SS, 1)
    return _Pattern(
        scale,
        windows[0],
        windows[1],
        ovals[0],
        ovals[1],
        count_SS,
        sum_SS,
        np.maximum(variance_SS, 0),
    )


def _best_shift(dark: Field, pattern: _Pattern) -> tuple[float, float, int, int, float]:
    """Likeness, scale, shift right and down in cells, and contrast, at the best of all shifts."""
    total_SS = pattern.window_y_SF @ dark @ pattern.window_x_SF.T
    squares_SS = pattern.window_y_SF @ dark**2 @ pattern.window_x_SF.T
    both_SS = (pattern.ovals_y_OSF @ dark @ pattern.ovals_x_OSF.transpose(0, 2, 1)).sum(axis=0)
    seen_SS = np.maximum(pattern.count_SS, 1)
    covariance_SS = both_SS - total_SS * pattern.sum_SS / seen_SS
    variance_SS = np.maximum(squares_SS - total_SS**2 / seen_SS, 0)
    likeness_SS = covariance_SS / np.sqrt(variance_SS * pattern.variance_SS + _TINY)
    likeness_SS[pattern.count_SS < _SEEN_SHARE * _window_cells(pattern.scale)] = -1
    down, right = np.unravel_index(int(np.argmax(likeness_SS)), likeness_SS.shape)
    contrast = float(np.sqrt(variance_SS[down, right] / seen_SS[down, right]))
    place = int(right) - _MAX_SHIFT_CELLS, int(down) - _MAX_SHIFT_CELLS
    return float(likeness_SS[down, right]), pattern.scale, *place, contrast


def _window_cells(scale: float) -> float:
    """Cells of the whole window, also where it is larger than the image."""
    (left, right), (top, bottom) = _WINDOW_PX
    return (right - left) * (bottom - top) * (scale / _CELL_PX) ** 2


def _smooth(field: Field, radius_cells: float) -> Field:
    """Gaussian mean; at the border, of what is inside."""
    place = np.arange(FACE_SIDE)
    weights = np.exp(-0.5 * ((place[:, None] - place) / radius_cells) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights @ field @ weights.T)
