"""RecordIO: `.rec` files with or without `.idx`, as face sets are handed around.

Data flow: `.rec`, `.idx`, `property` -> `record_frames`, `record_labels` -> here -> the packing
pipeline. Order is that of the keys, of several files one file after the other. A key of the packed
set is the record's key with zeros before it, so that string order is record order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.packing.file_names import find_files, short_names
from lfs_ray.data.packing.fingerprint import fingerprint_of
from lfs_ray.data.packing.labels import renumber
from lfs_ray.data.packing.record_frames import Frames, read_frames
from lfs_ray.data.packing.record_labels import checked_labels, image_of, image_rows, read_heads
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError

_KEY_DIGITS = 8


class RecordIOSource:
    """Images of one or several `.rec` files that share their labels.

    Raises:
        DataError: A file is damaged, or its parts contradict each other; names file, key, byte.
    """

    def __init__(self, place: Path) -> None:
        self._files = find_files(place, [".rec"])
        parts = [_read_file(file) for file in self._files]
        self._keys = np.concatenate([part.frames.keys for part in parts])
        self._starts = np.concatenate([part.frames.starts for part in parts])
        self._sizes = np.concatenate([part.frames.sizes for part in parts])
        self._ends = np.cumsum([len(part.frames) for part in parts])
        digits = max(_KEY_DIGITS, len(str(self._keys.max())))
        repeated = len(parts) > 1 and len(np.unique(self._keys)) < len(self._keys)
        names = short_names(self._files)
        self._key_forms = [
            f"{name}-{{:0{digits}d}}" if repeated else f"{{:0{digits}d}}" for name in names
        ]
        classes = renumber(np.concatenate([part.labels for part in parts]))
        self.labels = classes.labels
        self.class_names: Sequence[str] = classes.names
        self.facts: Mapping[str, object] = {
            "kind": "recordio",
            "files": [file.name for file in self._files],
            "read_by_index": all(part.frames.indexed for part in parts),
            "header_and_identity_records": sum(part.index_records for part in parts),
            "labels_per_image": max(part.labels_per_image for part in parts),
            "labels_renumbered": classes.renumbered,
            **_property_facts(self._files[0].parent / "property"),
        }
        beside = [file.with_suffix(".idx") for file in self._files]
        self.fingerprint = fingerprint_of([*self._files, *filter(Path.is_file, beside)])

    def __len__(self) -> int:
        return len(self._keys)

    def read(self, start: int, stop: int) -> list[Record]:
        """Images of the records, as they are stored.

        Raises:
            DataError: A file got shorter or cannot be read; names file, key and byte.
        """
        records: list[Record] = []
        while start < stop:
            number = int(np.searchsorted(self._ends, start, side="right"))
            end = min(stop, int(self._ends[number]))
            records += self._read_from(number, start, end)
            start = end
        return records

    def _read_from(self, number: int, start: int, stop: int) -> list[Record]:
        file, form = self._files[number], self._key_forms[number]
        try:
            with file.open("rb", buffering=0) as opened:
                descriptor = opened.fileno()
                rows = slice(start, stop)
                columns = (self._keys, self._starts, self._sizes, self.labels)
                values = (column[rows].tolist() for column in columns)
                return [
                    Record(form.format(key), image_of(_frame(descriptor, key, begin, size)), label)
                    for key, begin, size, label in zip(*values, strict=True)
                ]
        except (OSError, EOFError) as error:
            raise DataError(f"{file} cannot be read, it is damaged or changed ({error})") from None


def _frame(descriptor: int, key: int, begin: int, size: int) -> bytes:
    frame = os.pread(descriptor, size, begin)
    if len(frame) != size:
        raise EOFError(f"key {key} at byte {begin} ends after {len(frame)} of {size} bytes")
    return frame


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Images of one file."""

    frames: Frames
    labels: NDArray[np.int64]
    index_records: int
    labels_per_image: int


def _read_file(file: Path) -> _Part:
    frames = read_frames(file)
    heads = read_heads(frames)
    rows = image_rows(frames, heads)
    labels = checked_labels(frames, heads.first[rows], rows)
    per_image = max(1, int(heads.counts[rows].max()))
    return _Part(frames.select(rows), labels, len(frames) - len(rows), per_image)


def _property_facts(file: Path) -> dict[str, object]:
    """What a `property` file says in its first line: `classes,height,width`."""
    try:
        first = file.read_text("utf-8", "replace").partition("\n")[0].strip()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"{file} must be a readable file ({error.strerror})") from None
    fields = first.split(",")
    if len(fields) != 3 or not all(field.strip().isdigit() for field in fields):
        raise DataError(f'{file} must begin "classes,height,width", got {first[:60]!a}: remove it')
    classes, height, width = map(int, fields)
    return {"property_classes": classes, "property_height_width_px": [height, width]}
