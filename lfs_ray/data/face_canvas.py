"""The canvas synthetic faces are painted on: coordinates, soft masks, bands of rows.

Data flow: `face_traits` poses -> coordinates of every pixel, frame to face -> `face_drawing` and
`face_camera` paint. Planes are flat, (B, N) with N = size_px squared, so that a (B, 1) parameter
broadcasts over one contiguous axis. Masks are clipped polynomials: no transcendental function
touches a pixel, hence the same bits on every platform.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.face_traits import Params, Plane

SURFACE_W, SURFACE_H = 1.25, 1.35  # the turning surface is so much larger than the head


@dataclass(frozen=True, slots=True)
class Canvas:
    """A batch of pictures while they are painted; rgb is changed in place.

    Attributes:
        rgb: (3, B, N) colours, 0 to 1.
        relief: (B, N) brightness of the skin, about 1; changed in place until the head is painted.
        u: (B, N) across the upright face: shift, scale and roll taken out.
        v: (B, N) along it, downwards.
        p: (B, N) across the surface of the head: yaw taken out as well.
        q: (B, N) along it: pitch taken out as well.
        row_low: Smallest q of each row and all below it, over the batch; ascending.
        row_high: Largest q of each row and all above it, over the batch; ascending.
        crisp: Slope of an edge that is about a pixel wide.
    """

    rgb: Plane
    relief: Plane
    u: Plane
    v: Plane
    p: Plane
    q: Plane
    row_low: list[float]
    row_high: list[float]
    crisp: float

    @property
    def size_px(self) -> int:
        """Side of a whole picture in pixels."""
        return len(self.row_low)

    def paint(self, mask: Plane, colour: Plane) -> None:
        """Blend colour, (3, B, 1) or (3, B, N), over the picture where mask (B, N) is 1."""
        for channel, tone in zip(self.rgb, colour, strict=True):
            channel += mask * (tone - channel)

    def shade(self, factor: Plane) -> None:
        """Multiply all three channels by factor, (B, N)."""
        np.multiply(self.rgb, factor, out=self.rgb)

    def band(self, low: Plane | float, high: Plane | float) -> Canvas:
        """The rows in which some q of the batch lies between low and high: views, not copies.

        What is painted outside of the band must have mask 0 and factor 1: this is only speed.
        """
        first = bisect_left(self.row_high, float(np.min(low)))
        last = bisect_right(self.row_low, float(np.max(high)))
        cut = slice(first * self.size_px, last * self.size_px)
        return self._cut((slice(None), cut))

    def pick(self, index: NDArray[np.intp]) -> Canvas:
        """Copy some pictures of the batch to a canvas of their own."""
        return self._cut((index,))

    def _cut(self, key: tuple[slice | NDArray[np.intp], ...]) -> Canvas:
        return Canvas(
            self.rgb[:, *key],
            self.relief[key],
            self.u[key],
            self.v[key],
            self.p[key],
            self.q[key],
            self.row_low,
            self.row_high,
            self.crisp,
        )

    def emboss(self, strength: Plane | float, squared: Plane) -> None:
        """Raise (or lower) the relief by a smooth blob: squared distance (B, N) of radius 1."""
        blob = bump(squared)
        blob *= strength
        self.relief[...] += blob


def new_canvas(person: Params, shot: Params, size_px: int) -> Canvas:
    """Lay out the coordinates of B pictures of size_px by size_px pixels under their poses."""
    cos, sin = np.cos(shot["roll"]) / shot["scale"], np.sin(shot["roll"]) / shot["scale"]
    x, y = shot["shift_x"], shot["shift_y"]
    u = slope(size_px, cos, sin, -x * cos - y * sin)
    v = slope(size_px, -sin, cos, x * sin - y * cos)
    p = _turn(u, SURFACE_W * person["head_w"], shot["yaw"])
    q = _turn(v, SURFACE_H * person["head_h"], shot["pitch"])
    rows = q.reshape(-1, size_px, size_px)
    row_low = np.minimum.accumulate(rows.min(axis=(0, 2))[::-1])[::-1].tolist()
    row_high = np.maximum.accumulate(rows.max(axis=(0, 2))).tolist()
    rgb = np.empty((3, *u.shape), dtype=np.float32)
    return Canvas(rgb, np.ones_like(u), u, v, p, q, row_low, row_high, size_px / 2.0)


def slope(size_px: int, across: Plane, along: Plane, start: Plane) -> Plane:
    """Plane across * x + along * y + start over the frame, x and y from -1 to 1: (B, N)."""
    axis = (np.arange(size_px, dtype=np.float32) + np.float32(0.5)) * np.float32(2.0 / size_px)
    axis -= np.float32(1.0)
    row, column = across * axis, along * axis + start
    return (column[:, :, None] + row[:, None, :]).reshape(len(row), -1)


def _turn(across: Plane, radius: Plane, angle: Plane) -> Plane:
    """Undo a turn of a cylinder: where the surface point now seen at `across` was before."""
    depth = across * across
    np.subtract(radius * radius, depth, out=depth)
    np.maximum(depth, 0.0, out=depth)
    np.sqrt(depth, out=depth)
    depth *= -np.sin(angle)
    depth += across * np.cos(angle)
    return depth


def edge(signed: Plane, steepness: Plane | float) -> Plane:
    """Soft step, in place: 0 where signed * steepness is below -1/2, 1 above 1/2."""
    signed *= steepness
    signed += 0.5
    return np.clip(signed, 0.0, 1.0, out=signed)


def ellipse(x: Plane, y: Plane, wide: Plane | float, high: Plane | float) -> Plane:
    """Squared distance from the centre in units of the half axes: (x/wide)^2 + (y/high)^2."""
    across, along = x * (1.0 / wide), y * (1.0 / high)
    across *= across
    along *= along
    across += along
    return across


def bump(squared: Plane) -> Plane:
    """Smooth blob (1 - d^2)^2 of a squared distance d^2, 0 outside of radius 1; in place."""
    np.subtract(1.0, squared, out=squared)
    np.maximum(squared, 0.0, out=squared)
    squared *= squared
    return squared


def mix(first: tuple[float, ...], last: tuple[float, ...], share: Plane) -> Plane:
    """Mix two colours: share (B, 1) of the second; gives (3, B, 1)."""
    start = np.array(first, dtype=np.float32)[:, None, None]
    stop = np.array(last, dtype=np.float32)[:, None, None]
    return start + (stop - start) * share
