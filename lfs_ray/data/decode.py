"""Encoded image bytes to pixels.

Data flow: bytes of a store -> here -> (H, W, 3) uint8 -> `loader`. JPEG goes through simplejpeg,
which releases the interpreter lock, the rest through Pillow. Orientation tags are not applied. The
size is read from the header and checked first: a few bytes may claim an image that fills memory.
"""

from __future__ import annotations

import struct
import warnings
from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageChops

from lfs_ray.errors import DataError

Pixels = NDArray[np.uint8]

COLOURS = ("rgb", "bgr")
MAX_PIXELS = 1 << 26
"""Images of more pixels are refused: 67 million, 8192 x 8192."""
JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_PNG_END = b"IEND\xaeB`\x82"
# simplejpeg looks up the colour space of a header cut short (KeyError). Pillow reports broken
# files by any of these, depending on format and place.
REFUSED = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, SyntaxError, EOFError),
    *(OverflowError, ZeroDivisionError, struct.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
_LARGEST_16_BITS = 0xFFFF
_PRINTING_COLOURS = ("CMYK", "YCCK")
# Pillow warns of an image it would refuse at twice the size: we refuse it, and say so once.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def decode_image(blob: bytes, colour: str = "rgb") -> Pixels:
    """Pixels of an encoded image as a contiguous (H, W, 3) array in 0 to 255.

    Grey images are repeated to three channels, transparency is dropped, 16 bits become 8, printing
    colours (CMYK) become light, of an animation the first picture is taken. What simplejpeg
    refuses (stray bytes, say) is given to Pillow, whose refusal counts.

    Args:
        blob: A whole image file.
        colour: Order of the channels, "rgb" or "bgr".

    Raises:
        DataError: Not an image, a truncated one, one of more than `MAX_PIXELS`, or of more than 16
            bits a channel; `colour` is neither order.
    """
    if colour not in COLOURS:
        raise DataError(f'colour order must be "rgb" or "bgr", got "{colour}"')
    if blob[:2] == JPEG_START:
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(blob, strict=False)
            _refuse_huge(blob, height, width)
            if space not in _PRINTING_COLOURS:
                pixels: Pixels = simplejpeg.decode_jpeg(blob, colour.upper())
                return pixels
        except REFUSED:
            pass
    rgb = _decode_with_pillow(blob)
    return rgb if colour == "rgb" else np.ascontiguousarray(rgb[..., ::-1])


def image_size(blob: bytes) -> tuple[int, int]:
    """Height and width in pixels, read from the header alone.

    Raises:
        DataError: Not an image, or one of more than `MAX_PIXELS`.
    """
    try:
        if blob[:2] == JPEG_START:
            height, width, *_ = simplejpeg.decode_jpeg_header(blob, strict=False)
        else:
            with Image.open(BytesIO(blob)) as image:
                height, width = image.height, image.width
    except REFUSED as error:
        raise _undecodable(blob, error) from None
    _refuse_huge(blob, height, width)
    return int(height), int(width)


def refuse_cut_off(blob: bytes) -> None:
    """Refuse an image file whose end is missing; one whose format marks its end costs nothing.

    Damage before the end is not looked for.

    Raises:
        DataError: It cannot be decoded.
    """
    if not _has_its_end(blob):
        decode_image(blob)


def _has_its_end(blob: bytes) -> bool:
    """Whether a JPEG, PNG or WebP has its end; False for other formats."""
    if blob[:2] == JPEG_START:
        return blob.endswith(_JPEG_END)
    if blob[:4] == b"RIFF":
        return len(blob) >= 8 + int.from_bytes(blob[4:8], "little")
    return blob.endswith(_PNG_END)


def is_animated(blob: bytes) -> bool:
    """Whether an image file holds several pictures (GIF, APNG, WebP, TIFF).

    Raises:
        DataError: Not an image.
    """
    if blob[:2] == JPEG_START:
        return False
    try:
        with Image.open(BytesIO(blob)) as image:
            return bool(getattr(image, "is_animated", False))
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
            _refuse_huge(blob, image.height, image.width)
            return _deep_grey(image) if image.mode[0] in "IF" else _eight_bits(image)
    except REFUSED as error:
        raise _undecodable(blob, error) from None


def _deep_grey(image: Image.Image) -> Pixels:
    """Grey of 16 bits: the upper eight."""
    grey = np.asarray(image)
    if grey.dtype.kind == "f" or grey.min() < 0 or grey.max() > _LARGEST_16_BITS:
        raise ValueError("grey of more than 16 bits")
    return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)


def _eight_bits(image: Image.Image) -> Pixels:
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Adobe's files hold the amounts of ink inverted, which Pillow takes for granted.
        image.load()
        return np.array(ImageChops.invert(image).convert("RGB"))
    if image.mode == "P" and "transparency" in image.info:
        return np.array(image.convert("RGBA").convert("RGB"))
    return np.array(image.convert("RGB"))


def _refuse_huge(blob: bytes, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(
            f"an image must have at most {MAX_PIXELS} pixels, this one of {len(blob)} bytes has "
            f"{width} x {height}"
        )


def _undecodable(blob: bytes, error: Exception) -> DataError:
    if not len(blob):
        return DataError("image of 0 bytes cannot be decoded (the file is empty)")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return DataError(
            f"an image must have at most {MAX_PIXELS} pixels, this one of {len(blob)} bytes has "
            "more"
        )
    reason = str(error).split("<_io")[0].strip().rstrip(".") or type(error).__name__
    return DataError(f"image of {len(blob)} bytes cannot be decoded ({reason})")
