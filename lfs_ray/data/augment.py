"""Random changes of training images besides the mirror, each decided by the stream's position.

Data flow: decoded batch of `loader` -> here, in place -> the batch that leaves. In this order: a
part of the image is stretched to the whole, resolution is lowered, colours change, colour goes.
All numbers of an image come from 16 words of one generator that are its own: whether and how it is
changed does not depend on batches, threads, a resume, or on which other changes are on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.colour_change import jitter_colour, to_grey
from lfs_ray.data.decode import Pixels
from lfs_ray.data.resampling import FEW, Room, resample
from lfs_ray.data.resampling_weights import low_resolution_weights, write_crop_weights
from lfs_ray.seeds import derive_seed

DOWN = ("nearest", "box", "bilinear", "bicubic")
UP = ("nearest", "bilinear", "bicubic")
_WORDS = 16
_UNIT = 2.0**-53
_ASPECT_MAX = 4 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Which changes images undergo, each with its chance; all are off by default."""

    crop_probability: float = 0.0
    """Chance that a random part of the image is stretched to the whole, 0 to 1."""
    crop_scale_min: float = 0.2
    """Least share of the area in that part, above 0 to 1; its sides differ by up to 4/3."""
    low_resolution_probability: float = 0.0
    """Chance that the image is reduced and enlarged again, each by a random filter, 0 to 1."""
    low_resolution_min: float = 0.2
    """Least side of the reduced image, as a share of the whole one, above 0 to 1."""
    colour_jitter_probability: float = 0.0
    """Chance that brightness, contrast and saturation change, 0 to 1."""
    colour_jitter_strength: float = 0.5
    """Their factors lie between 1 minus and 1 plus this, 0 to 1."""
    grey_probability: float = 0.0
    """Chance that the image loses its colour, 0 to 1."""

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in self.__slots__}
        wrong = {
            name: share
            for name, share in shares.items()
            if not 0.0 <= share <= 1.0 or (share == 0.0 and name.endswith("_min"))
        }
        if wrong:
            raise ValueError(
                f"probabilities and shares in [0, 1], least ones above 0, got {wrong}"
            )

    @property
    def changes_nothing(self) -> bool:
        """Whether all changes are off."""
        return not any(
            (
                self.crop_probability,
                self.low_resolution_probability,
                self.colour_jitter_probability,
                self.grey_probability,
            )
        )


class AugmentedStream:
    """The changes of the images of a stretch of the stream, all of one size.

    Args:
        augmentation: Which changes.
        seed: Seed of the stream.
        start: Stream position of the first image.
        colour: Order of the channels, "rgb" or "bgr".
    """

    def __init__(
        self, augmentation: Augmentation, seed: int, start: int, *, colour: str = "rgb"
    ) -> None:
        self._augmentation = augmentation
        self._seed = derive_seed(int(seed), "augment")
        self._start = int(start)
        self._colour = colour
        self._rooms: list[Room] = []

    def change(self, images_BHWC: Pixels, offsets_B: NDArray[np.int64]) -> None:
        """Change images in place.

        Args:
            images_BHWC: (B, S, S, 3) uint8.
            offsets_B: Stream position of each, relative to the first of the stretch; ascending.
        """
        if not len(offsets_B):
            return
        wanted, chances_BN = self._augmentation, self._uniform(offsets_B)
        size = images_BHWC.shape[1]
        with self._lent_room(size) as room:
            for few, chances in _chosen(chances_BN, 0, wanted.crop_probability):
                crop(images_BHWC, few, chances[:, 1:5], wanted.crop_scale_min, room)
            for few, chances in _chosen(chances_BN, 5, wanted.low_resolution_probability):
                low_N = low_sides(size, chances[:, 6], wanted.low_resolution_min)
                lower_resolution(images_BHWC, few, low_N, chances[:, 7:9], room)
            for few, chances in _chosen(chances_BN, 9, wanted.colour_jitter_probability):
                factors_N3 = 1 + wanted.colour_jitter_strength * (2 * chances[:, 10:13] - 1)
                jitter_colour(images_BHWC, few, factors_N3, room, colour=self._colour)
            for few, _ in _chosen(chances_BN, 13, wanted.grey_probability):
                to_grey(images_BHWC, few, room, colour=self._colour)

    @contextmanager
    def _lent_room(self, size: int) -> Iterator[Room]:
        """Room that no other thread uses meanwhile."""
        try:
            room = self._rooms.pop()
        except IndexError:
            room = Room(size)
        yield room
        self._rooms.append(room)

    def _uniform(self, offsets_B: NDArray[np.int64]) -> NDArray[np.float64]:
        """Numbers in [0, 1), 16 for each image, by its position alone."""
        first, last = int(offsets_B[0]), int(offsets_B[-1])
        words = np.random.PCG64(self._seed)
        words.advance((self._start + first) * _WORDS)
        raw = words.random_raw((last - first + 1) * _WORDS).reshape(-1, _WORDS)
        return np.asarray((raw[offsets_B - first] >> np.uint64(11)) * _UNIT)


def _chosen(
    chances_BN: NDArray[np.float64], column: int, probability: float
) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
    """Places of the images to change, a few at a time, and their numbers."""
    places = np.flatnonzero(chances_BN[:, column] < probability)
    for start in range(0, len(places), FEW):
        few = places[start : start + FEW]
        yield few.tolist(), chances_BN[few]


def crop(
    images_BHWC: Pixels,
    places: Sequence[int],
    chances_N4: NDArray[np.float64],
    scale_min: float,
    room: Room,
) -> None:
    """Stretch a random part of each of a few images to the whole, linearly, in place.

    Area uniform from `scale_min` to 1, aspect log-uniform as far as the part fits, place uniform;
    whole pixels. With `scale_min` 1 the part is the whole.

    Args:
        images_BHWC: (B, S, S, 3) uint8.
        places: Which of them, up to FEW.
        chances_N4: Numbers in [0, 1) that decide area, aspect, left and top.
        scale_min: Least share of the area.
        room: Arrays to work in.
    """
    size, few = room.size_px, slice(len(places))
    area_N = 1 - chances_N4[:, 0] * (1 - scale_min)
    widest_N = np.log(np.minimum(_ASPECT_MAX, 1 / area_N))
    aspect_N = np.exp((2 * chances_N4[:, 1] - 1) * widest_N)
    widths_N = _whole(size * np.sqrt(area_N * aspect_N), size)
    heights_N = _whole(size * np.sqrt(area_N / aspect_N), size)
    lefts_N = (chances_N4[:, 2] * (size - widths_N + 1)).astype(np.int64)
    tops_N = (chances_N4[:, 3] * (size - heights_N + 1)).astype(np.int64)
    write_crop_weights(tops_N, heights_N, room.rows_NSS[few])
    write_crop_weights(lefts_N, widths_N, room.columns_NSS[few])
    resample(images_BHWC, places, room)


def low_sides(size: int, chances_N: NDArray[np.float64], share_min: float) -> NDArray[np.int64]:
    """Side of each reduced image, uniform from `share_min` to 1 times `size`, whole pixels."""
    return _whole(size * (1 - chances_N * (1 - share_min)), size)


def lower_resolution(
    images_BHWC: Pixels,
    places: Sequence[int],
    low_N: NDArray[np.int64],
    chances_N2: NDArray[np.float64],
    room: Room,
) -> None:
    """Reduce a few images to their sides by a filter of DOWN, enlarge them by one of UP."""
    downs = (chances_N2[:, 0] * len(DOWN)).astype(np.int64).tolist()
    ups = (chances_N2[:, 1] * len(UP)).astype(np.int64).tolist()
    for image, (low, down, up) in enumerate(zip(low_N.tolist(), downs, ups, strict=True)):
        weights_SS = low_resolution_weights(room.size_px, low, DOWN[down], UP[up])
        room.rows_NSS[image] = room.columns_NSS[image] = weights_SS
    resample(images_BHWC, places, room)


def _whole(lengths_N: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    return np.clip(np.rint(lengths_N), 1, size).astype(np.int64)
