"""A set under examination: images by place, with their labels as they are written.

Data flow: `opening` -> here -> the checks. Unlike the readers of training, nothing is refused
here that can be told as a finding: labels may have gaps, keys may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels, decode_image
from lfs_ray.data.doctor.finding import Finding
from lfs_ray.data.listing import Keys
from lfs_ray.data.pairs import person_of
from lfs_ray.errors import DataError

Fetch = Callable[[int], bytes | Pixels]
NO_LABEL = -1
_LARGEST_LABEL = 2**31 - 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Specimen:
    """N images of one set."""

    path: str
    """The set, as it was given."""
    form: str
    """What it is: "image folder", "packed set", ..."""
    keys: Keys
    """Key of each image, (N,)."""
    written_labels: NDArray[np.float64]
    """Label of each image as written, (N,); NaN: it has none."""
    fetch: Fetch
    """Encoded image, or pixels (H, W, 3) RGB of raw planes, by place; DataError. Any thread."""
    class_names: Sequence[str] = ()
    """Name of each class by its label, where they are known."""
    absent: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Images that are listed but not there, (N,); empty: all are there."""
    list_file: str = ""
    """The list its keys were read from, if there is one."""
    same: NDArray[np.bool_] | None = None
    """Of a verification set: whether images 2i and 2i+1 show one person."""
    findings: tuple[Finding, ...] = ()
    """What was found while opening it."""

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Label of each image, (N,); NO_LABEL where it is missing, negative or no whole number."""
        written = self.written_labels
        with np.errstate(invalid="ignore"):
            usable = (written >= 0) & (written == np.floor(written)) & (written <= _LARGEST_LABEL)
        return np.where(usable, written, NO_LABEL).astype(np.int64)

    @cached_property
    def is_there(self) -> NDArray[np.bool_]:
        """Images that can be fetched, (N,)."""
        return ~self.absent if len(self.absent) else np.ones(len(self), np.bool_)

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 of image `index`; DataError, with its key."""
        content = self.fetch(index)
        if isinstance(content, bytes):
            try:
                return decode_image(content, colour)
            except DataError as error:
                raise DataError(f'image "{self.keys[index]}" in {self.path}: {error}') from None
        return content if colour == "rgb" else np.ascontiguousarray(content[..., ::-1])

    def class_name(self, label: int) -> str:
        """Name of a class: as stored, else the folder of its first image, else its number."""
        if 0 <= label < len(self.class_names):
            return self.class_names[label]
        place = self._first_of_class.get(label)
        return (person_of(self.keys[place]) if place is not None else "") or str(label)

    @cached_property
    def _first_of_class(self) -> dict[int, int]:
        labels, first = np.unique(self.labels, return_index=True)
        return dict(zip(labels.tolist(), first.tolist(), strict=True))

    def identities(self) -> dict[int, str]:
        """Name of each class that has an image, by label."""
        return {label: self.class_name(label) for label in self._first_of_class if label >= 0}
