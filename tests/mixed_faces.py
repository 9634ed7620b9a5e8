"""Packed sets for tests of decoding: JPEGs of the right size, and all else that may lie there."""

from __future__ import annotations

from pathlib import Path

import lmdb
import numpy as np
from image_samples import encoded, pixels_of

from lfs_ray.data import datum
from lfs_ray.data.decode import Pixels
from lfs_ray.data.sources import FaceSet, open_faces
from lfs_ray.data.writer import write_packed

NUM_CLASSES = 4


def write_mixed(folder: Path, size: int, broken: tuple[int, ...] = (), first: int = 0) -> str:
    """Image i is of class i % 4; every fifth is a PNG, every seventh of another size.

    The broken ones were whole when they were packed.
    """

    def blob(number: int) -> bytes:
        return encoded(
            pixels_of(first + number, 24 if number % 7 == 6 else 16),
            "PNG" if number % 5 == 4 else "JPEG",
        )

    records = [(f"{n % NUM_CLASSES}/{n:03d}.img", blob(n), n % NUM_CLASSES) for n in range(size)]
    names = [str(label) for label in range(NUM_CLASSES)]
    write_packed(folder, records, class_names=names, source={"kind": "test"})
    with (
        lmdb.open(str(folder / "data.lmdb"), subdir=False, lock=False) as env,
        env.begin(write=True) as txn,
    ):
        for number in broken:
            key = f"{number % NUM_CLASSES}/{number:03d}.img"
            txn.put(key.encode(), datum.encode(blob(number)[:90], number % NUM_CLASSES))
    return str(folder)


def some_of_two_sets(folder: Path, broken: tuple[int, ...] = ()) -> FaceSet:
    """Five of the eight classes of two joined sets, in another order."""
    sets = [write_mixed(folder / "a", 30, broken), write_mixed(folder / "b", 20, first=50)]
    return open_faces(sets).select(np.array([6, 1, 0, 3, 4]))


class Raising:
    """Images that nothing can be done with; can be sent to another process."""

    labels = np.arange(9)

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        raise ValueError(f"a bug met image {index}")
