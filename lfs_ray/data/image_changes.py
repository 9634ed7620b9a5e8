"""What packing does to an image: nothing, or align, resize and encode it again.

Data flow: `Record` of a source -> here, on threads -> `Record` with the image to store. An image
that already is what is asked for keeps its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import simplejpeg
from PIL import Image

from lfs_ray.data.decode import Pixels, decode_image, image_size, resize_image
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError

FORMATS = ("jpeg", "png")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChanges:
    """Changes to make.

    Attributes:
        size_px: Side of the square to resize to (the middle square is taken); 0: as it is.
        image_format: How changed images are encoded: "jpeg" or "png".
        quality: JPEG quality of changed images, 1 to 100.

    Raises:
        DataError: A value out of its range.
    """

    size_px: int = 0
    image_format: str = "jpeg"
    quality: int = 95

    def __post_init__(self) -> None:
        if self.size_px < 0 or not 1 <= self.quality <= 100:
            raise DataError(
                f"packing needs size_px >= 0 and quality 1 to 100, got {self.size_px} and "
                f"{self.quality}"
            )
        if self.image_format not in FORMATS:
            raise DataError(
                f"changed images must be encoded as {' or '.join(FORMATS)}, got "
                f"{self.image_format!a}"
            )

    def facts(self) -> dict[str, object] | None:
        """What the manifest says of them; None when images keep their bytes."""
        if not self.size_px:
            return None
        encoding: dict[str, object] = {"format": self.image_format}
        if self.image_format == "jpeg":
            encoding["quality"] = self.quality
        return {"size_px": self.size_px, **encoding}

    def apply(self, record: Record) -> Record:
        """The record with its image as it is to be stored.

        Raises:
            DataError: The image cannot be decoded; names its key.
        """
        if not self.size_px:
            return record
        try:
            if image_size(record.image) == (self.size_px, self.size_px):
                return record
            pixels = resize_image(decode_image(record.image), self.size_px)
        except DataError as error:
            raise DataError(f'image "{record.key}": {error}') from None
        return record._replace(image=encode_image(pixels, self.image_format, self.quality))


def encode_image(pixels: Pixels, image_format: str, quality: int) -> bytes:
    """Encoded image of (H, W, 3) RGB pixels; JPEG keeps the colours at full resolution."""
    if image_format == "jpeg":
        jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality, "RGB", "444")
        return jpeg
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
