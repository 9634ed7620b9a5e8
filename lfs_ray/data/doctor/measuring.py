"""The decode pass: every image is decoded once, and a few hundred bytes about it are kept.

Data flow: `Specimen` -> here, on threads -> `Measured` -> checks of images, duplicates, colour and
crops. Memory: 35 bytes an image, and 256 more in a file that the system may drop from memory;
of pixels, only the images that are under way.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from io import BytesIO
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from lfs_ray.data.decode import JPEG_START, REFUSED, Pixels, decode_image
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.perceptual_hash import SIDE, THUMBNAIL_SIDE, Hashes, perceptual_hash
from lfs_ray.data.prefetch import ordered_map
from lfs_ray.errors import DataError

FACE_SIDE = 56
"""Side of the small picture of which mean image and colours are taken: half of 112."""
MIDDLE = slice(FACE_SIDE // 4, FACE_SIDE * 3 // 4)
"""The middle quarter of the area, where a face has skin."""
GREY_LEVELS = 8
"""An image is grey when no channel departs further from another, of 255, after the reduction to
56 pixels. Of 16,619 faces 526 are exactly grey and 112 more within 8; faded photos, some five for
each further level, go on to 40 and beyond: no line parts them."""
BLANK_LEVELS = 2.0
"""An image is blank when its luminance has a smaller standard deviation, of 255; the flattest of
25,675 faces had 16."""
_STEADY_LEVELS = 8.0  # keeps images of low contrast from outweighing the others in the mean face
_CHUNK = 32
_MAX_PIXELS = 64_000_000
_SIDES = (FACE_SIDE, SIDE, THUMBNAIL_SIDE)

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """Facts about N images; what is not decoded has zeros."""

    decoded: NDArray[np.bool_]
    """(N,)"""
    height_width_px: NDArray[np.int32]
    """(N, 2)"""
    grey: NDArray[np.bool_]
    """(N,)"""
    blank: NDArray[np.bool_]
    """(N,)"""
    odd_encoding: NDArray[np.bool_]
    """Four inks, 16 bits, transparency or several frames, (N,)."""
    red_blue: NDArray[np.float32]
    """Mean of red less that of blue in the middle of the image, (N,)."""
    digests: NDArray[np.uint64]
    """First 8 bytes of the SHA-256 of size and pixels, (N,): that two of ten million images share
    them by chance happens once in 300,000 sets."""
    hashes: Hashes
    """Perceptual hashes, (N,)."""
    thumbnails: NDArray[np.uint8]
    """Luminance, (N, 16, 16), in a file without a name."""
    mean_image: NDArray[np.float64]
    """Mean of all decoded images, (56, 56, 3), 0 to 255."""
    mean_face: NDArray[np.float64]
    """Mean of the luminances, each divided by its own contrast, (56, 56)."""
    reasons: tuple[tuple[int, str], ...]
    """Place and reason of the first images that are not decodable."""


class _Facts(NamedTuple):
    """Facts about one decoded image."""

    small: Pixels
    grey: tuple[NDArray[np.uint8], ...]
    """Luminance at the sides of `_SIDES`."""
    size: tuple[int, int]
    digest: bytes
    odd_encoding: bool


def measure(specimen: Specimen, *, threads: int = 1, progress: Progress | None = None) -> Measured:
    """Decode all images that are there and keep what the checks need."""
    total = len(specimen)
    result = _empty(total)
    reasons: list[tuple[int, str]] = []

    def load(start: int) -> list[tuple[int, _Facts | str]]:
        places = range(start, min(start + _CHUNK, total))
        return [(place, _look(specimen, place)) for place in places if specimen.is_there[place]]

    chunks = ordered_map(load, range(0, total, _CHUNK), threads=threads, ahead=threads + 2)
    with closing(chunks):
        for number, chunk in enumerate(chunks, 1):
            good = [(place, facts) for place, facts in chunk if isinstance(facts, _Facts)]
            reasons += [(place, facts) for place, facts in chunk if isinstance(facts, str)]
            del reasons[100:]
            if good:
                _take_in(result, good)
            if progress:
                progress(min(number * _CHUNK, total), total)
    num_decoded = max(int(result.decoded.sum()), 1)
    result.mean_image[:] /= num_decoded
    result.mean_face[:] /= num_decoded
    return replace(result, reasons=tuple(reasons))


def _empty(total: int) -> Measured:
    shape = (max(total, 1), THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    with tempfile.TemporaryFile() as file:
        thumbnails = np.memmap(file, np.uint8, "w+", shape=shape)
    return Measured(
        decoded=np.zeros(total, np.bool_),
        height_width_px=np.zeros((total, 2), np.int32),
        grey=np.zeros(total, np.bool_),
        blank=np.zeros(total, np.bool_),
        odd_encoding=np.zeros(total, np.bool_),
        red_blue=np.zeros(total, np.float32),
        digests=np.zeros(total, np.uint64),
        hashes=np.zeros(total, np.uint64),
        thumbnails=thumbnails[:total],
        mean_image=np.zeros((FACE_SIDE, FACE_SIDE, 3)),
        mean_face=np.zeros((FACE_SIDE, FACE_SIDE)),
        reasons=(),
    )


def _look(specimen: Specimen, place: int) -> _Facts | str:
    """Facts about one image, or why it has none; on a thread."""
    try:
        content = specimen.fetch(place)
        odd = isinstance(content, bytes) and _has_odd_encoding(content)
        pixels = decode_image(content) if isinstance(content, bytes) else content
    except DataError as error:
        return str(error)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(b"%d %d " % (height, width))
    digest.update(np.ascontiguousarray(pixels).data)
    small = small_square(pixels)
    grey = tuple(_luminance(small, side) for side in _SIDES)
    return _Facts(small, grey, (height, width), digest.digest()[:8], odd)


def small_square(pixels: Pixels) -> Pixels:
    """The middle square of an image at 56x56, each value the mean of the area it covers."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    image = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(image.resize((FACE_SIDE, FACE_SIDE), Image.Resampling.BOX))


def _has_odd_encoding(blob: bytes) -> bool:
    """Whether decoding drops something; also refuses pictures that would fill the memory."""
    try:
        if blob[:2] == JPEG_START:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(blob, strict=False)
            odd = colours in ("CMYK", "YCCK")
        else:
            with Image.open(BytesIO(blob)) as image:
                height, width = image.height, image.width
                modes_kept = ("RGB", "L", "1", "P")
                clear = image.mode not in modes_kept or "transparency" in image.info
                odd = clear or getattr(image, "n_frames", 1) > 1
    except REFUSED:
        return False  # decoding says why
    if height * width > _MAX_PIXELS:
        raise DataError(f"image of {width} x {height} pixels is larger than 64 million pixels")
    return bool(odd)


def _take_in(result: Measured, chunk: list[tuple[int, _Facts]]) -> None:
    places = np.array([place for place, _ in chunk])
    small_BHWC = np.stack([facts.small for _, facts in chunk])
    by_side = zip(*(facts.grey for _, facts in chunk), strict=True)
    grey_at = {side: np.stack(pictures) for side, pictures in zip(_SIDES, by_side, strict=True)}
    contrast_B = grey_at[FACE_SIDE].std(axis=(1, 2))
    colour_BHWC = small_BHWC.astype(np.int16)
    spread_BHW = colour_BHWC.max(axis=3) - colour_BHWC.min(axis=3)
    middle_BC = colour_BHWC[:, MIDDLE, MIDDLE].mean(axis=(1, 2))
    result.decoded[places] = True
    result.height_width_px[places] = [facts.size for _, facts in chunk]
    result.grey[places] = spread_BHW.max(axis=(1, 2)) <= GREY_LEVELS
    result.blank[places] = contrast_B < BLANK_LEVELS
    result.odd_encoding[places] = [facts.odd_encoding for _, facts in chunk]
    result.red_blue[places] = middle_BC[:, 0] - middle_BC[:, 2]
    digests = b"".join(facts.digest for _, facts in chunk)
    result.digests[places] = np.frombuffer(digests, "<u8")
    result.hashes[places] = perceptual_hash(grey_at[SIDE])
    result.thumbnails[places] = grey_at[THUMBNAIL_SIDE]
    result.mean_image[:] += small_BHWC.sum(axis=0, dtype=np.float64)
    steady_B = contrast_B + _STEADY_LEVELS
    result.mean_face[:] += np.tensordot(1 / steady_B, grey_at[FACE_SIDE].astype(np.float64), 1)


def _luminance(small: Pixels, side: int) -> NDArray[np.uint8]:
    image = Image.fromarray(small).convert("L")
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))
