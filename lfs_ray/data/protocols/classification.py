"""Images with class labels, for top-1 and top-5 accuracy of a classifier.

Data flow: packed set or folder of class folders -> here -> `ClassificationSet` -> logits -> top-k.
Labels of a folder are the ranks of its folders' names in string order, as packing gives them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.environment import find_lmdb
from lfs_ray.data.protocols.locations import image_files
from lfs_ray.data.sources import open_faces
from lfs_ray.errors import DataError

_LABELS_NAME = "labels.tsv"


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationSet:
    """N images of C classes."""

    keys: tuple[str, ...]
    """Images, (N,)."""
    label_N: NDArray[np.int64]
    """Class of each, 0 to C-1, (N,)."""
    class_names: tuple[str, ...]
    """Name of each class, (C,)."""

    def labels_among(self, class_names: tuple[str, ...]) -> NDArray[np.int64]:
        """Labels by the classes of a model, (N,): those of the same names.

        Raises:
            DataError: A class of this set is none of the model's.
        """
        number = {name: label for label, name in enumerate(class_names)}
        unknown = [name for name in self.class_names if name not in number]
        if unknown:
            raise DataError(
                f"all {len(self.class_names)} classes must be among the {len(class_names)} of the "
                f'model, {len(unknown)} are not, the first is "{unknown[0]}"'
            )
        label_of_class = np.array([number[name] for name in self.class_names], np.int64)
        return label_of_class[self.label_N]


def read_classification(path: str | os.PathLike[str]) -> ClassificationSet:
    """Read a packed set, or a folder with one folder of images a class.

    Raises:
        DataError: Nothing lies there, images lie outside of class folders, a broken packed set.
    """
    if find_lmdb(path) is not None:
        faces = open_faces((os.fspath(path),))
        names = _class_names(Path(path), faces.num_classes)
        return ClassificationSet(tuple(faces.keys), faces.labels, names)
    keys = image_files(Path(path))
    loose = [key for key in keys if "/" not in key]
    if loose:
        raise DataError(f"{path} must hold one folder a class, {loose[0]} lies directly in it")
    classes = sorted({key.split("/")[0] for key in keys})
    rank = {name: label for label, name in enumerate(classes)}
    labels = np.array([rank[key.split("/")[0]] for key in keys], np.int64)
    return ClassificationSet(tuple(keys), labels, tuple(classes))


def _class_names(folder: Path, num_classes: int) -> tuple[str, ...]:
    """Names in labels.tsv; without that file, the numbers."""
    place = folder / _LABELS_NAME
    if not place.is_file():
        return tuple(map(str, range(num_classes)))
    rows = place.read_text(encoding="utf-8").splitlines()
    names = tuple(row.rsplit("\t", 1)[0] for row in rows)
    if len(names) != num_classes:
        raise DataError(f"{place} must name {num_classes} classes, it names {len(names)}")
    return names
