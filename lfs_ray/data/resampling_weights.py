"""Weights of resampling along one axis: a matrix for each crop and for each low resolution.

Data flow: `augment` -> here -> `resampling`. Weights are whole multiples of 2**-15 and those of a
new pixel sum up to 1, so that products with pixels are exact in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.resampling import Matrices, unthreaded_lines

_UNIT = 2.0**15
_KEPT = 1024
_Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def write_crop_weights(
    first_N: NDArray[np.int64], length_N: NDArray[np.int64], weights_NSS: Matrices
) -> None:
    """Weights that stretch pixels first to first+length-1 to all S pixels.

    Linear between the centres of the two nearest pixels of the stretch, none from outside of it.
    """
    size = weights_NSS.shape[1]
    centres_NS = (np.arange(size) + 0.5) * (length_N[:, None] / size) - 0.5
    centres_NS = np.clip(centres_NS, 0, length_N[:, None] - 1)
    left_NS = centres_NS.astype(np.int64)
    share_NS = np.rint((centres_NS - left_NS) * _UNIT) / _UNIT
    right_NS = np.minimum(left_NS + 1, length_N[:, None] - 1)
    weights_NSS[:] = 0
    image, new = np.ogrid[: len(first_N), :size]
    weights_NSS[image, new, first_N[:, None] + left_NS] = 1 - share_NS
    weights_NSS[image, new, first_N[:, None] + right_NS] += share_NS


def low_resolution_weights(size: int, low: int, down: str, up: str) -> NDArray[np.float32]:
    """Weights (size, size) that bring `size` pixels down to `low` and up again.

    Args:
        size: Pixels along the axis.
        low: Pixels to go through, 1 to `size`.
        down: Filter on the way down, a name of FILTERS.
        up: Filter on the way up.
    """
    # Of multiples of 2**-15 the products and their sums are exact in float64, too.
    enlarging = _filter_weights(low, size, up).astype(np.float64)
    lines = enlarging.reshape(-1, unthreaded_lines(size, size), low)
    return _in_units((lines @ _filter_weights(size, low, down)).reshape(size, size))


@lru_cache(maxsize=_KEPT)
def _filter_weights(old: int, new: int, name: str) -> NDArray[np.float32]:
    """Weights (new, old) of Pillow's filters, whose support grows with a reduction."""
    if name == "nearest":
        nearest = (2 * np.arange(new) + 1) * old // (2 * new)
        return np.asarray(np.arange(old) == nearest[:, None], np.float32)
    centres_S1 = ((np.arange(new) + 0.5) * (old / new))[:, None]
    weights: NDArray[np.float64] = FILTERS[name](
        (np.arange(old) + 0.5 - centres_S1) / max(old / new, 1.0)
    )
    return _in_units(weights / weights.sum(axis=1, keepdims=True))


def _in_units(weights_SS: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round weights to multiples of 2**-15; what a row lacks to 1 goes to its largest one."""
    units = np.rint(weights_SS * _UNIT)
    units[np.arange(len(units)), units.argmax(axis=1)] += _UNIT - units.sum(axis=1)
    return np.asarray(units / _UNIT, np.float32)


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(1 - np.abs(x), 0.0))


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """R. Keys, Cubic convolution interpolation, 1981, with a = -1/2."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0.0)))


FILTERS: dict[str, _Kernel] = {
    "nearest": _box,
    "box": _box,
    "bilinear": _triangle,
    "bicubic": _cubic,
}
