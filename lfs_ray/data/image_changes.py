"""What packing does to an image: nothing, or align, resize and encode it again.

Data flow: `Record` of a source -> here, on threads -> `Record` with the image to store. An image
that already is what is asked for keeps its bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import simplejpeg
from PIL import Image

from lfs_ray.data.align import TEMPLATE_SIZE_PX, align
from lfs_ray.data.decode import Pixels, decode_image, image_size, resize_image
from lfs_ray.data.landmarks import Landmarks, read_landmarks
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError

FORMATS = ("jpeg", "png")
MAX_SIDE_PX = 8192
"""Larger images would be refused when they are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChanges:
    """Changes to make.

    Attributes:
        size_px: Side of the square to resize to (the middle square is taken), up to MAX_SIDE_PX;
            0: as it is.
        image_format: How changed images are encoded: "jpeg" or "png".
        quality: JPEG quality of changed images, 1 to 100.
        landmarks: Five points of every image, by its key in the packed set: each is aligned to
            the template of `align` at size_px, 112 when that is 0. None: no image is aligned.
        landmarks_sha256: Digest of the landmarks' file, for the manifest.

    Raises:
        DataError: A value out of its range.
    """

    size_px: int = 0
    image_format: str = "jpeg"
    quality: int = 95
    landmarks: Landmarks | None = None
    landmarks_sha256: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.size_px <= MAX_SIDE_PX or not 1 <= self.quality <= 100:
            raise DataError(
                f"packing needs size_px 0 to {MAX_SIDE_PX} and quality 1 to 100, got "
                f"{self.size_px} and {self.quality}"
            )
        if self.image_format not in FORMATS:
            raise DataError(
                f"changed images must be encoded as {' or '.join(FORMATS)}, got "
                f"{self.image_format!a}"
            )

    def aligned_by(self, landmarks: str) -> ImageChanges:
        """These changes, with the landmarks of a file.

        Raises:
            DataError: It cannot be read, or does not parse.
        """
        points = read_landmarks(landmarks)
        digest = hashlib.sha256(Path(landmarks).read_bytes()).hexdigest()
        return replace(self, landmarks=points, landmarks_sha256=digest)

    def facts(self) -> dict[str, object] | None:
        """What the manifest says of them; None when images keep their bytes."""
        if not self.size_px and self.landmarks is None:
            return None
        facts: dict[str, object] = {"size_px": self._side_px(), "format": self.image_format}
        if self.image_format == "jpeg":
            facts["quality"] = self.quality
        if self.landmarks is not None:
            facts["aligned_by"] = self.landmarks_sha256
        return facts

    def apply(self, record: Record) -> Record:
        """The record with its image as it is to be stored.

        Raises:
            DataError: The image cannot be decoded, or has no landmarks; names its key.
        """
        if not self.size_px and self.landmarks is None:
            return record
        try:
            if self.landmarks is not None:
                points_52 = self.landmarks.of(record.key)
                pixels = align(decode_image(record.image), points_52, self._side_px())
            elif image_size(record.image) == (self.size_px, self.size_px):
                return record
            else:
                pixels = resize_image(decode_image(record.image), self.size_px)
        except DataError as error:
            raise DataError(f'image "{record.key}": {error}') from None
        return record._replace(image=encode_image(pixels, self.image_format, self.quality))

    def _side_px(self) -> int:
        return self.size_px or TEMPLATE_SIZE_PX


def encode_image(pixels: Pixels, image_format: str, quality: int) -> bytes:
    """Encoded image of (H, W, 3) RGB pixels; JPEG keeps the colours at full resolution."""
    if image_format == "jpeg":
        jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality, "RGB", "444")
        return jpeg
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
