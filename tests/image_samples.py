"""Small images and LMDBs for tests."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image

Pixels = np.ndarray


def pixels_of(number: int, size_px: int = 16) -> Pixels:
    """Smooth colours that differ from number to number."""
    y, x = np.mgrid[:size_px, :size_px] / size_px
    planes = (x + 0.1 * number, y + 0.3 * number, (x * y) + 0.7 * number)
    return np.stack([(127 + 120 * np.sin(6 * plane)) for plane in planes], -1).astype(np.uint8)


def encoded(pixels: Pixels, image_format: str = "JPEG", **options: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def write_lmdb(path: Path, values: dict[str, bytes]) -> Path:
    env = lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 24)
    with env.begin(write=True) as txn:
        for key, value in values.items():
            txn.put(key.encode(), value)
    env.close()
    return path
