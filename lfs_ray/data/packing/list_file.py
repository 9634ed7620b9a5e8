"""List of image files: `path label`, or im2rec's `index<TAB>label...<TAB>path`.

Data flow: list + image files -> here -> the packing pipeline. A key is the path as it is listed.
Labels of plain lists must be 0 to C-1; those of im2rec lists are renumbered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.listing import Listing, check_labels, read_list
from lfs_ray.data.packing.fingerprint import Fingerprint
from lfs_ray.data.packing.folder import read_image_file
from lfs_ray.data.packing.im2rec_list import is_im2rec_list, read_im2rec_list
from lfs_ray.data.packing.labels import Classes, renumber
from lfs_ray.data.packing.repeats import first_repeat
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError


class ListSource:
    """Images that a list names, in its order; paths are below `root`, or beside the list.

    Raises:
        DataError: A line that does not parse, an image that is missing, a path listed twice, a
            label that is negative or (of a plain list) missing; names file and line.
    """

    def __init__(self, root: Path, list_file: Path) -> None:
        facts: dict[str, object] = {"kind": "list", "list_file": list_file.name}
        if is_im2rec_list(list_file):
            listing = read_im2rec_list(list_file)
            classes = renumber(listing.labels)
            facts.update(list_format="im2rec", labels_renumbered=classes.renumbered)
        else:
            listing = read_list(list_file)
            classes = _as_listed(listing, check_labels(listing, list_file))
        _refuse_repeats(listing, list_file)
        self._roots = (root, list_file.parent)
        self._keys = listing.keys
        total = Fingerprint()
        total.add(list_file.name, list_file.stat())
        self._root_of = _find_files(self._roots, listing, list_file, total)
        self.labels = classes.labels
        self.class_names: Sequence[str] = classes.names
        self.facts: Mapping[str, object] = facts
        self.fingerprint = total.text()

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, start: int, stop: int) -> list[Record]:
        """Bytes of the image files, as they are; DataError names the file that cannot be read."""
        records: list[Record] = []
        for place in range(start, stop):
            key = self._keys[place]
            image = read_image_file(self._roots[self._root_of[place]] / key)
            records.append(Record(key, image, int(self.labels[place])))
        return records


def _as_listed(listing: Listing, num_classes: int) -> Classes:
    names = [str(label) for label in range(num_classes)]
    return Classes(listing.labels.astype(np.int32), names, False)


def _refuse_repeats(listing: Listing, list_file: Path) -> None:
    if repeat := first_repeat(listing.keys):
        earlier, later = (int(listing.lines[place]) for place in repeat)
        raise DataError(
            f'keys must be unique, "{listing.keys[repeat[0]]}" comes twice in {list_file}, in '
            f"lines {earlier} and {later}: remove one"
        )


def _find_files(
    roots: tuple[Path, Path], listing: Listing, list_file: Path, total: Fingerprint
) -> NDArray[np.uint8]:
    """Which of `roots` each image lies below, (N,)."""
    found = np.zeros(len(listing.labels), np.uint8)
    for place, key in enumerate(listing.keys):
        for number, root in enumerate(roots):
            path = root / key
            if path.is_file():
                total.add(key, path.stat())
                found[place] = number
                break
        else:
            raise DataError(
                f"{list_file} line {listing.lines[place]} must name an image file below "
                f'{roots[0]}, "{key}" is none'
            )
    return found
