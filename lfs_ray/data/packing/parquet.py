"""Parquet: one file, or a folder of files, with a column of encoded images and one of labels.

Data flow: Parquet files -> here (labels, keys), `parquet_rows` (images) -> the packing pipeline.
The order is that of the files by name, and of their rows. An image is bytes, or a struct with a
field `bytes`. Labels are whole numbers, renumbered if they have gaps, or names, ranked in string
order. Without a key column the keys number the rows of all files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lfs_ray.data.listing import MAX_LABEL, Keys
from lfs_ray.data.packing.file_names import find_files
from lfs_ray.data.packing.fingerprint import fingerprint_of
from lfs_ray.data.packing.labels import Classes, renumber
from lfs_ray.data.packing.parquet_rows import UNREADABLE, ImageRows, unreadable
from lfs_ray.data.packing.repeats import first_repeat
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError

_KEY_DIGITS = 8


class ParquetSource:
    """Rows of one or several Parquet files.

    Raises:
        DataError: No Parquet, a column that is missing or of another type, a row without label or
            key; names file, row and the columns there are.
    """

    def __init__(
        self, place: Path, image_column: str = "", label_column: str = "", key_column: str = ""
    ) -> None:
        files = _parquet_files(place)
        image, label = image_column or "image", label_column or "label"
        wanted = [image, label, *([key_column] if key_column else [])]
        image_fields = [_image_field(_checked_schema(file, wanted), image, file) for file in files]
        if len(set(image_fields)) > 1:
            raise DataError(f"column {image} must be of one type in all files of {place}")
        self._images = ImageRows(files, image_fields[0])
        if not len(self._images):
            raise DataError(f"{place} must hold at least one row, it holds none")
        classes = _classes(files, label)
        self._keys = _keys(files, key_column) if key_column else None
        self._digits = max(_KEY_DIGITS, len(str(len(self._images) - 1)))
        self.labels = classes.labels
        self.class_names: Sequence[str] = classes.names
        self.facts: Mapping[str, object] = {
            "kind": "parquet",
            "files": [file.name for file in files],
            "columns": wanted,
            "labels_renumbered": classes.renumbered,
        }
        self.fingerprint = fingerprint_of(files)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int, stop: int) -> list[Record]:
        """Images of the rows, as they are stored.

        Raises:
            DataError: A row has no image, or a file cannot be read; names file and row.
        """
        images = self._images.read(start, stop)
        rows = zip(range(start, stop), images, strict=True)
        return [Record(self._key(row), image, int(self.labels[row])) for row, image in rows]

    def _key(self, row: int) -> str:
        return f"{row:0{self._digits}d}" if self._keys is None else self._keys[row]


def _parquet_files(place: Path) -> list[Path]:
    """Parquet files at `place`, those of a folder also from its folder `data`."""
    inner = place / "data"
    if inner.is_dir() and not any(place.glob("*.parquet")):
        place = inner
    return find_files(place, [".parquet"])


def _checked_schema(file: Path, wanted: Sequence[str]) -> pa.Schema:
    try:
        schema = pq.read_schema(file)
    except UNREADABLE as error:
        raise unreadable(file, error) from None
    for name in wanted:
        if name not in schema.names:
            raise DataError(
                f'{file} must have a column "{name}", it has {", ".join(schema.names)}: give the '
                "names of image and label column"
            )
    return schema


def _image_field(schema: pa.Schema, name: str, file: Path) -> str:
    """Column or field of the image bytes."""
    kind = schema.field(name).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        name, kind = f"{name}.bytes", kind.field("bytes").type
    if not any(test(kind) for test in _BYTES):
        raise DataError(
            f"column {name} of {file} must hold encoded images (bytes, or a struct with bytes), "
            f"it holds {kind}"
        )
    return name


_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
_TEXT = (pa.types.is_string, pa.types.is_large_string)


def _column(file: Path, name: str) -> pa.ChunkedArray:
    """A small column of a file, without gaps, dictionaries resolved."""
    try:
        column = pq.read_table(file, columns=[name], partitioning=None, use_threads=False).column(
            0
        )
    except UNREADABLE as error:
        raise unreadable(file, error) from None
    if column.null_count:
        row = pc.index(column.is_null(), pa.scalar(True)).as_py()
        raise DataError(f"{file} row {row} must have a value in column {name}, it has none")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column


def _classes(files: Sequence[Path], name: str) -> Classes:
    parts = [_column(file, name) for file in files]
    kinds = [part.type for part in parts]
    if all(pa.types.is_integer(kind) for kind in kinds):
        checked = [_whole(part, name, file) for part, file in zip(parts, files, strict=True)]
        return renumber(np.concatenate(checked))
    if all(any(test(kind) for test in _TEXT) for kind in kinds):
        return _named_classes(
            pa.chunked_array(
                [c.cast(pa.large_string()) for p in parts for c in p.chunks], pa.large_string()
            )
        )
    raise DataError(
        f"label column {name} must hold whole numbers or names, it holds "
        f"{', '.join(sorted(set(map(str, kinds))))}"
    )


def _whole(column: pa.ChunkedArray, name: str, file: Path) -> NDArray[np.int64]:
    """Integer labels of a file, none negative."""
    labels = column.cast(pa.int64(), safe=False).to_numpy()
    wrong = np.flatnonzero((labels < 0) | (labels > MAX_LABEL))
    if len(wrong):
        raise DataError(
            f"{file} row {wrong[0]} must have a label of 0 to {MAX_LABEL} in column {name}, got "
            f"{labels[wrong[0]]}"
        )
    return np.asarray(labels, np.int64)


def _named_classes(column: pa.ChunkedArray) -> Classes:
    """Classes of names, ranked in string order."""
    coded = column.combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int32)
    rank[order] = np.arange(len(names))
    codes = coded.indices.to_numpy(zero_copy_only=False)
    return Classes(rank[codes], [names[place] for place in order], False)


def _keys(files: Sequence[Path], name: str) -> Keys:
    """Keys of all rows; numbers become text."""
    parts = [_column(file, name).cast(pa.string()) for file in files]
    keys = Keys.join(Keys.of(value.as_py().encode() for value in part) for part in parts)
    if repeat := first_repeat(keys):
        raise DataError(
            f'keys must be unique, column {name} has "{keys[repeat[0]]}" in rows {repeat[0]} and '
            f"{repeat[1]} (counted over all files)"
        )
    return keys
