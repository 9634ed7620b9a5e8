"""A `.bin` verification set: a pickle of (encoded images, same or not), read without trusting it.

Data flow: `.bin` file -> `bin_pickle` -> here: every check -> `BinSet` -> scored as it is, or
`bin_convert` -> a plain set. Images 2i and 2i+1 are pair i; the pairs stand in fold order.
Layout: deepinsight/insightface, which names no identities: people are known from the pairs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.bin_pickle import Array, load_objects
from lfs_ray.data.decode import decode_image
from lfs_ray.errors import DataError

_CHANNEL_SAMPLE = 500
_SUFFIXES = {b"\x89PNG": ".png", b"RIFF": ".webp"}


@dataclass(frozen=True, slots=True, eq=False)
class BinSet:
    """P pairs of 2P encoded images."""

    images: list[bytes]
    """Encoded image files, (2P,): rows 0, 2, 4, ... against rows 1, 3, 5, ..."""
    same: NDArray[np.bool_]
    """Whether both images of a pair show one person, (P,)."""
    height_width_px: tuple[int, int]
    """Size of every image."""

    def __len__(self) -> int:
        return len(self.same)

    def keys(self) -> tuple[str, ...]:
        """Names of the images by their place, (2P,): 000000.jpg, 000001.jpg, ..."""
        return tuple(
            f"{place:06d}{_SUFFIXES.get(image[:4], '.jpg')}"
            for place, image in enumerate(self.images)
        )


def read_bin_set(path: str | os.PathLike[str]) -> BinSet:
    """Read a `.bin` set and check all of it: about five seconds for 12,000 images.

    Nothing that the file names is run; see `bin_pickle`.

    Raises:
        DataError: The file is missing, cut, or asks for anything but images and labels; images
            and labels don't fit together; an image is undecodable or of another size.
    """
    place = os.fspath(path)
    try:
        data = Path(place).read_bytes()
    except OSError as error:
        raise DataError(f"`.bin` set {place} must be a readable file ({error.strerror})") from None
    content = load_objects(data, place)
    if not (_is_list(content) and len(content) == 2 and _is_list(content[0])):
        raise DataError(
            f"{place} must be a `.bin` set, a pair (images, labels), found {_kind(content)}"
        )
    labels = _labels(content[1], place)
    if len(content[0]) != 2 * len(labels) or not labels:
        raise DataError(
            f"{place} must hold two images for each label, found {len(content[0])} images and "
            f"{len(labels)} labels: export it again"
        )
    images = [_image(item, row, place) for row, item in enumerate(content[0])]
    return BinSet(images, np.array(labels, np.bool_), _one_size(images, place))


def channel_means(bin_set: BinSet) -> tuple[float, float, float]:
    """Mean of red, green and blue, 0 to 255, over some 500 images spread evenly over the set."""
    step = -(-len(bin_set.images) // _CHANNEL_SAMPLE)
    sums = [decode_image(image).mean(axis=(0, 1)) for image in bin_set.images[::step]]
    red, green, blue = np.mean(sums, axis=0).tolist()
    return red, green, blue


def looks_swapped(means: tuple[float, float, float]) -> bool:
    """Whether channel means are those of faces with red and blue exchanged: skin is reddish."""
    return means[2] > means[0]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}" + (f" of {len(value)}" if _is_list(value) else "")


def _labels(value: Any, place: str) -> list[bool]:
    if isinstance(value, Array) and len(value.shape) == 1:
        value = value.numbers()
    if not _is_list(value):
        raise DataError(f"{place} must hold a list of labels, found {_kind(value)}")
    for row, label in enumerate(value):
        if not isinstance(label, int) or label not in (0, 1):
            raise DataError(
                f"{place} label {row} must be True, False, 1 or 0, found a "
                f"{type(label).__name__}{f' {label}' if isinstance(label, int) else ''}"
            )
    return [bool(label) for label in value]


def _image(item: Any, row: int, place: str) -> bytes:
    """Bytes of one image: as they are, or an array of bytes with one real dimension."""
    if isinstance(item, Array):
        real = [length for length in item.shape if length != 1]
        if item.dtype.code == "u1" and len(real) <= 1:
            item = item.raw
    if not isinstance(item, bytes) or not item:
        found = _shown(item) if isinstance(item, Array) else _kind(item)
        raise DataError(
            f"{place} image {row} must be the bytes of an encoded image, found "
            f"{'no bytes' if item == b'' else found}: export the set again"
        )
    return item


def _shown(array: Array) -> str:
    return f"an array of type {array.dtype.code} and shape {array.shape}"


def _one_size(images: list[bytes], place: str) -> tuple[int, int]:
    """Decode all images; their one size."""
    size_px: tuple[int, int] | None = None
    for row, image in enumerate(images):
        try:
            height, width = decode_image(image).shape[:2]
        except DataError as error:
            raise DataError(f"{place} image {row}: {error}") from None
        size_px = size_px or (height, width)
        if (height, width) != size_px:
            raise DataError(
                f"{place} must hold images of one size, image {row} has {height} x {width} "
                f"pixels, the first {size_px[0]} x {size_px[1]}: align all images alike"
            )
    return size_px or (0, 0)
