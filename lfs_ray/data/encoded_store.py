"""Encoded images that are in memory, as a store: those of a `.bin` set.

Data flow: `bin_set` -> here -> pixels by key, as from a folder or an LMDB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lfs_ray.data.decode import Pixels, decode_image
from lfs_ray.errors import DataError


@dataclass(frozen=True, slots=True)
class EncodedStore:
    """Images by key."""

    path: str
    """File that they were read from, for messages."""
    images: Mapping[str, bytes]
    """Encoded image of each key."""

    def read(self, key: str) -> bytes:
        """Encoded image of `key`.

        Raises:
            DataError: There is none.
        """
        if key not in self.images:
            raise DataError(f'image "{key}" must be in {self.path}, it is not')
        return self.images[key]

    def image(self, key: str, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 in the colour order asked for.

        Raises:
            DataError: The image is missing or cannot be decoded.
        """
        try:
            return decode_image(self.read(key), colour)
        except DataError as error:
            raise DataError(f'image "{key}" of {self.path}: {error}') from None

    def missing(self, keys: Iterator[str]) -> list[str]:
        """Those of `keys` that are not there, in their order."""
        return [key for key in keys if key not in self.images]

    def keys(self) -> Iterator[str]:
        """All keys, sorted."""
        return iter(sorted(self.images))
