"""Perceptual hash of a picture: 64 bits that survive compression, scaling and brightness.

Data flow: pixels -> here -> hash and thumbnail of each image -> `hash_search` (pairs of hashes
that are near) -> here (likeness of the thumbnails decides).

The hash is the sign of the 63 lowest frequencies (discrete cosine transform of the picture at
32x32) about their median: Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010. Aligned faces look alike: over 16,619 of them, two pictures of different people
came as near as six bits once in 270,000 pairs, so nearness of hashes only nominates. The edges of
16x16 thumbnails decide, not their grey values: by these, two faces with the same black border
would be one picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from lfs_ray.data.decode import Pixels

SIDE = 32
"""Side of the grey picture that is hashed."""
THUMBNAIL_SIDE = 16
"""Side of the grey picture that is kept, 256 bytes an image."""
NEAR_BITS = 6
"""Two hashes that differ in so many bits or fewer nominate a pair. JPEG quality 30, scaling to
64 pixels and back, brightness +25 % and gamma 0.7 stay within 4 bits for nine images in ten."""
NEAR_LIKENESS = 0.9
"""Pairs nominated are near duplicates from this likeness on. Changes as above keep .95 and more
(99 of 100 images). Of the pairs of different people that were nominated among 26,923 aligned
faces, three had .95 and more, all of them one photo under two names (known errors of LFW); the
next had .80."""

_LOW = 8
_SMALL_NORM = 1e-6
_EDGE_LEVELS = 25.0  # higher steps count as this: a border is one edge among others

Hashes = NDArray[np.uint64]


def _cosine_basis() -> NDArray[np.float32]:
    """The lowest `_LOW` rows of the orthonormal cosine transform (DCT-II) of `SIDE` points."""
    frequency, place = np.mgrid[:_LOW, :SIDE]
    basis = np.cos(np.pi * frequency * (place + 0.5) / SIDE) * np.sqrt(2 / SIDE)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


_BASIS = _cosine_basis()
_WEIGHTS = np.uint64(1) << np.arange(64, dtype=np.uint64)


def grey_square(pixels: Pixels, side: int) -> NDArray[np.uint8]:
    """Luminance (side, side) of a picture (H, W, 3), each value the mean of the area it covers."""
    image = Image.fromarray(pixels).convert("L")
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def perceptual_hash(grey_NSS: ArrayLike) -> Hashes:
    """Hashes (N,) of grey pictures (N, 32, 32); see `grey_square`.

    The first frequency (the mean) has no bit of its own: hashes differ in at most 63 places.

    >>> ramp = np.add.outer(np.arange(32), np.arange(32))
    >>> bool(perceptual_hash([ramp])[0] == perceptual_hash([2 * ramp + 9])[0])
    True
    """
    pictures = np.asarray(grey_NSS, np.float32)
    if pictures.ndim != 3 or pictures.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"grey pictures must be (N, {SIDE}, {SIDE}), got {pictures.shape}")
    low_NF = (_BASIS @ pictures @ _BASIS.T).reshape(len(pictures), _LOW * _LOW)
    low_NF[:, 0] = -np.inf
    above = low_NF > np.median(low_NF[:, 1:], axis=1, keepdims=True)
    return np.asarray((above * _WEIGHTS).sum(axis=1, dtype=np.uint64))


def hashes_of(pictures: list[Pixels]) -> Hashes:
    """Hashes (N,) of pictures (H, W, 3) of any size."""
    if not pictures:
        return np.empty(0, np.uint64)
    return perceptual_hash(np.stack([grey_square(picture, SIDE) for picture in pictures]))


def likeness(first_NTT: NDArray[np.uint8], second_NTT: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Likeness (N,) of thumbnails (N, 16, 16) pair by pair, -1 to 1; 0 where one has no contrast.

    The cosine of their steps from each pixel to the next, right and down, cut at 25 grey levels.
    """
    edges = [_unit_edges(thumbnails.astype(np.float32)) for thumbnails in (first_NTT, second_NTT)]
    return np.asarray(np.einsum("nk,nk->n", *edges), np.float32)


def _unit_edges(grey_NTT: NDArray[np.float32]) -> NDArray[np.float32]:
    steps = (np.diff(grey_NTT, axis=axis).reshape(len(grey_NTT), -1) for axis in (1, 2))
    flat = np.clip(np.concatenate(list(steps), axis=1), -_EDGE_LEVELS, _EDGE_LEVELS)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.where(norm < _SMALL_NORM, np.inf, norm))
