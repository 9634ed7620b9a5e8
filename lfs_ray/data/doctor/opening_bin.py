"""`.bin` verification sets for examination: also those that are no good.

Data flow: `.bin` file -> `bin_pickle` -> here -> `Specimen` with the flags of its pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lfs_ray.data.bin_pickle import Array, load_objects
from lfs_ray.data.doctor.finding import Finding, found
from lfs_ray.data.doctor.pair_checks import check_flags
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.listing import Keys
from lfs_ray.errors import DataError


def open_bin(file: Path, shown: str) -> Specimen:
    """Images and flags, whatever their numbers.

    Raises:
        DataError: The file is no pickle of images and labels.
    """
    try:
        content = load_objects(file.read_bytes(), shown)
    except OSError as error:
        raise DataError(f"`.bin` set {shown} must be a readable file ({error.strerror})") from None
    if not (isinstance(content, list | tuple) and len(content) == 2):
        raise DataError(f"{shown} must be a `.bin` set, a pair (images, labels), it is another")
    images, flags = (_items(part) for part in content)
    blobs = [_bytes_of(item) for item in images]
    same = np.array([bool(flag) for flag in flags if isinstance(flag, int)], np.bool_)
    return Specimen(
        path=shown,
        form="verification set",
        keys=Keys.of(b"%06d" % place for place in range(len(blobs))),
        written_labels=np.full(len(blobs), np.nan),
        fetch=lambda place: blobs[place],
        same=same,
        findings=(*_length(len(blobs), flags, shown), *check_flags(same, shown)),
    )


def _length(num_images: int, flags: list[Any], shown: str) -> list[Finding]:
    text = f"{shown} holds {num_images} images and {len(flags)} labels"
    return found("odd-length", abs(num_images - 2 * len(flags)), [text])


def _items(part: Any) -> list[Any]:
    if isinstance(part, Array):
        return part.numbers() if len(part.shape) == 1 else []
    return list(part) if isinstance(part, list | tuple) else []


def _bytes_of(item: Any) -> bytes:
    """Bytes of an image; what is none becomes no bytes, which cannot be decoded."""
    if isinstance(item, Array):
        return item.raw if item.dtype.code == "u1" else b""
    return item if isinstance(item, bytes) else b""
