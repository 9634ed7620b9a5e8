"""Synthetic faces for the embedded example, for tests and for trying things out: no download.

Data flow: a spec -> `face_traits` -> `face_drawing` -> `face_camera` -> JPEG -> `pack` -> a packed
data set like any other. A person is a set of shape and texture parameters; a picture of them
varies in pose, light, expression, occlusion, blur, noise and compression.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from lfs_ray.data.face_camera import expose, light, paint_occluders
from lfs_ray.data.face_canvas import new_canvas
from lfs_ray.data.face_drawing import paint_faces
from lfs_ray.data.face_traits import (
    IMAGE,
    NUM_IDENTITY_WORDS,
    draw_words,
    identity_params,
    image_params,
)
from lfs_ray.data.packing.source import Record
from lfs_ray.data.writer import write_packed
from lfs_ray.errors import DataError

CHUNK = 16  # planes of so many pictures stay in a core's cache; more is slower
DRAWING = 1  # raised when the same spec would no longer give the same pixels


@dataclass(frozen=True, slots=True)
class SyntheticFaces:
    """What to draw; the same spec gives the same bytes everywhere.

    Attributes:
        num_identities: People, 1 or more; labels are 0 to num_identities - 1.
        images_per_identity: Pictures of each, 1 or more.
        size_px: Side of the square pictures, 16 to 512.
        seed: Any number from 0 to 2**63 - 1; other seeds give other people.

    Raises:
        DataError: When a number is out of its range.
    """

    num_identities: int
    images_per_identity: int
    size_px: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "num_identities": (self.num_identities, 1, 10**9),
            "images_per_identity": (self.images_per_identity, 1, 10**9),
            "size_px": (self.size_px, 16, 512),
            "seed": (self.seed, 0, 2**63 - 1),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise DataError(f"synthetic faces: {name} must be {low} to {high}, not {value}")


def render(spec: SyntheticFaces, identity: int, image: int) -> NDArray[np.uint8]:
    """Draw one picture: (size_px, size_px, 3) uint8 RGB, of (seed, identity, image) alone."""
    pixels: NDArray[np.uint8] = render_batch(spec, np.array([identity]), np.array([image]))[0]
    return pixels


def render_identity(spec: SyntheticFaces, identity: int) -> NDArray[np.uint8]:
    """Draw all pictures of one person: (images_per_identity, size_px, size_px, 3) uint8 RGB."""
    images = np.arange(spec.images_per_identity)
    return render_batch(spec, np.full_like(images, identity), images)


def render_batch(
    spec: SyntheticFaces, identities: NDArray[np.int64], images: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Draw the pictures (identities[i], images[i]).

    Args:
        spec: Size and seed; its counts are not looked at.
        identities: (B,) indices of people, 0 or more.
        images: (B,) indices of pictures of them, 0 or more.

    Returns:
        (B, size_px, size_px, 3) uint8 RGB; a picture does not depend on its neighbours.
    """
    starts = range(0, len(identities), CHUNK)
    cuts = [slice(start, start + CHUNK) for start in starts]
    return np.concatenate([_draw(spec, identities[cut], images[cut])[0] for cut in cuts])


def synthesize(spec: SyntheticFaces, dst: str) -> dict[str, object]:
    """Draw a whole data set and write it packed, like any other.

    Args:
        spec: What to draw.
        dst: Directory to make; it must not exist yet, and appears whole or not at all.

    Returns:
        The manifest.

    Raises:
        DataError: When `dst` exists or cannot be written.
    """
    names = [f"p{identity:05d}" for identity in range(spec.num_identities)]
    source = {"kind": "synthetic faces", "drawing": DRAWING, **asdict(spec)}
    return write_packed(dst, _records(spec, names), class_names=names, source=source)


def _records(spec: SyntheticFaces, names: Sequence[str]) -> Iterator[Record]:
    """Draw and compress every picture, person by person, in full chunks."""
    count = spec.images_per_identity
    total = spec.num_identities * count
    for start in range(0, total, CHUNK):
        index = np.arange(start, min(start + CHUNK, total))
        identities, images = np.divmod(index, count)
        pixels, quality = _draw(spec, identities, images)
        rows = zip(identities.tolist(), images.tolist(), pixels, quality.tolist(), strict=True)
        for identity, image, picture, percent in rows:
            blob = simplejpeg.encode_jpeg(picture, quality=percent, colorsubsampling="420")
            yield Record(f"{names[identity]}/{image:03d}.jpg", blob, identity)


def _draw(
    spec: SyntheticFaces, identities: NDArray[np.int64], images: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw up to CHUNK pictures; gives them and the JPEG quality of each."""
    num_pixels = spec.size_px**2
    num_words = len(IMAGE) + -(-3 * num_pixels // 8)
    pairs = [(int(i), int(k)) for i, k in zip(identities, images, strict=True)]
    people = {identity for identity, _ in pairs}
    own = {i: draw_words(spec.seed, i, -1, NUM_IDENTITY_WORDS) for i in people}
    words = np.stack([draw_words(spec.seed, i, k, num_words) for i, k in pairs])
    person = identity_params(np.stack([own[i] for i, _ in pairs]))
    shot = image_params(words)
    grain = np.ascontiguousarray(words[:, len(IMAGE) :].astype("<u8", copy=False)).view(np.uint8)
    canvas = new_canvas(person, shot, spec.size_px)
    paint_faces(canvas, person, shot)
    paint_occluders(canvas, person, shot)
    light(canvas, shot)
    quality = (55 + 40 * shot["quality"][:, 0]).astype(np.int64)
    return expose(canvas.rgb, shot, grain[:, : 3 * num_pixels], spec.size_px), quality
