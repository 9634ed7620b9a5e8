"""Encoded image bytes to pixels.

Data flow: bytes of a store -> here -> (H, W, 3) uint8 -> `loader`. JPEG goes through simplejpeg,
which releases the interpreter lock, the rest through Pillow. Orientation tags are not applied.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from lfs_ray.errors import DataError

Pixels = NDArray[np.uint8]

COLOURS = ("rgb", "bgr")
JPEG_START = b"\xff\xd8"
# simplejpeg looks up the colour space of a header cut short (KeyError). Pillow reports broken
# files by any of these, depending on format and place.
REFUSED = (OSError, ValueError, KeyError, SyntaxError, EOFError, Image.DecompressionBombError)


def decode_image(blob: bytes, colour: str = "rgb") -> Pixels:
    """Pixels of an encoded image as a contiguous (H, W, 3) array in 0 to 255.

    Grey images are repeated to three channels, transparency is dropped, 16 bits become 8.
    What simplejpeg refuses (stray bytes, say) is given to Pillow, whose refusal counts.

    Args:
        blob: A whole image file.
        colour: Order of the channels, "rgb" or "bgr".

    Raises:
        DataError: Not an image, or a truncated one; `colour` is neither order.
    """
    if colour not in COLOURS:
        raise DataError(f'colour order must be "rgb" or "bgr", got "{colour}"')
    if blob[:2] == JPEG_START:
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(blob, colour.upper())
            return pixels
        except REFUSED:
            pass
    rgb = _decode_with_pillow(blob)
    return rgb if colour == "rgb" else np.ascontiguousarray(rgb[..., ::-1])


def image_size(blob: bytes) -> tuple[int, int]:
    """Height and width in pixels, read from the header alone.

    Raises:
        DataError: Not an image.
    """
    try:
        if blob[:2] == JPEG_START:
            height, width, *_ = simplejpeg.decode_jpeg_header(blob, strict=False)
            return int(height), int(width)
        with Image.open(BytesIO(blob)) as image:
            return image.height, image.width
    except REFUSED as error:
        raise _undecodable(blob, error) from None


def resize_image(img: Pixels, size_px: int) -> Pixels:
    """Square (size_px, size_px, 3) version; the same array when it already has that size.

    The middle square is taken, then filtered bilinearly with a support that grows with the
    reduction, so that it does not alias.
    """
    height, width = img.shape[:2]
    if height == width == size_px:
        return img
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    image = Image.fromarray(img[top : top + side, left : left + side])
    return np.array(image.resize((size_px, size_px), Image.Resampling.BILINEAR))


def _decode_with_pillow(blob: bytes) -> Pixels:
    try:
        with Image.open(BytesIO(blob)) as image:
            if image.mode.startswith("I"):
                grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except REFUSED as error:
        raise _undecodable(blob, error) from None


def _undecodable(blob: bytes, error: Exception) -> DataError:
    reason = str(error).split("<_io")[0].strip().rstrip(".") or type(error).__name__
    return DataError(f"image of {len(blob)} bytes cannot be decoded ({reason})")
