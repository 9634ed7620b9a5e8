"""RecordIO files for examination: `.rec` against `.idx`, header and identity records, labels.

Data flow: `.rec`, `.idx`, `property` -> here -> `Specimen`. The file is read through from head to
head, so that it can be compared with its index.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.finding import Finding, found
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.listing import Keys
from lfs_ray.data.packing.record_frames import LENGTH_MASK, MAGIC, Frames, mapped_words
from lfs_ray.data.packing.record_labels import Heads, image_of, image_rows, read_heads
from lfs_ray.errors import DataError

_HEAD = struct.Struct("<II")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


def open_records(file: Path, shown: str) -> Specimen:
    """Image records of a `.rec` file, in the order of their keys.

    Raises:
        DataError: The file is missing, no RecordIO, or holds no image.
    """
    frames, findings = _read_through(file)
    frames, about_index = _with_index(frames)
    heads = read_heads(frames)
    rows = np.flatnonzero(~heads.is_index)
    if not len(rows):
        raise DataError(f"{shown} must hold an image record, it holds none")
    words = mapped_words(file)
    begin, end = frames.starts[rows] // 4, (frames.starts + frames.sizes)[rows] // 4

    def fetch(place: int) -> bytes:
        return image_of(words[begin[place] : end[place]].tobytes())

    findings += about_index + _record_0(frames, heads) + _property(file, heads.first[rows])
    return Specimen(
        path=shown,
        form="RecordIO file",
        keys=Keys.of(b"%08d" % key for key in frames.keys[rows].tolist()),
        written_labels=heads.first[rows].astype(np.float64),
        fetch=fetch,
        findings=tuple(findings),
    )


def _read_through(file: Path) -> tuple[Frames, list[Finding]]:
    """All whole records, by the heads in the file; and where it cannot be read on."""
    words = mapped_words(file)
    size_bytes = file.stat().st_size
    starts, sizes, cut = array("q"), array("q"), array("b")
    position = begin = 0
    inside = False
    trouble = ""
    while position < size_bytes and not trouble:
        flag, stop = _part(words, position, size_bytes)
        if flag < 0 or inside != (flag in (_MIDDLE, _LAST)):
            trouble = f"{file} cannot be read on at byte {position}: no record begins there"
        elif stop > size_bytes:
            trouble = f"{file} is cut off: the record at byte {position} ends after {size_bytes}"
        begin = begin if inside else position
        inside = flag in (_FIRST, _MIDDLE)
        position = stop
        if not inside and not trouble:
            starts.append(begin)
            sizes.append(stop - begin)
            cut.append(flag == _LAST)
    places, lengths = np.array(starts, np.int64), np.array(sizes, np.int64)
    keys = np.arange(len(starts))
    frames = Frames(file, False, keys, places, lengths, np.array(cut, np.bool_))
    return frames, found("broken-record", int(bool(trouble)), [trouble])


def _part(words: NDArray[np.uint32], position: int, size_bytes: int) -> tuple[int, int]:
    """Part flag at a position, -1 for no head, and the byte after the part."""
    if position + _HEAD.size > size_bytes or words[position // 4] != MAGIC:
        return -1, size_bytes
    mark = int(words[position // 4 + 1])
    return mark >> 29, position + _HEAD.size + ((mark & LENGTH_MASK) + 3) // 4 * 4


def _with_index(frames: Frames) -> tuple[Frames, list[Finding]]:
    """The records under the keys of the `.idx`, sorted by them, where it fits."""
    file = frames.path.with_suffix(".idx")
    if not file.is_file():
        return frames, []
    try:
        rows = np.array([line.split() for line in file.read_bytes().splitlines()], "S")
        keys, starts = rows.astype(np.int64).T
    except (ValueError, OverflowError):
        return frames, found("index-length", 1, [f"{file} is not `key<TAB>byte` line by line"])
    at = np.searchsorted(frames.starts, starts)
    fits = (at < len(frames)) & (frames.starts[np.minimum(at, len(frames) - 1)] == starts)
    wrong = abs(len(keys) - len(frames)) or int((~fits).sum())
    examples = [f"{file.name} names {len(keys)} records, {frames.path.name} holds {len(frames)}"]
    examples += [
        f"key {keys[row]}: no record at byte {starts[row]}" for row in np.flatnonzero(~fits)
    ]
    findings = found("index-length", wrong, examples)
    order = np.argsort(keys[fits], kind="stable")
    chosen = frames.select(at[fits][order])
    parts = (chosen.starts, chosen.sizes, chosen.cut)
    return Frames(frames.path, True, keys[fits][order], *parts), findings


def _record_0(frames: Frames, heads: Heads) -> list[Finding]:
    """Where identity records are, key 0 must be a header that names them."""
    index_rows = np.flatnonzero(heads.is_index)
    if not len(index_rows):
        return []
    is_header = frames.keys[0] == 0 and bool(heads.is_index[0])
    if not is_header:
        text = f"{len(index_rows)} identity records, but key {frames.keys[0]} is no header"
        return found("record-0", 1, [text])
    with_image = frames.select(np.flatnonzero(heads.is_index | (heads.image_bytes > 0)))
    try:
        image_rows(with_image, read_heads(with_image))
    except DataError as error:
        return found("record-0", 1, [str(error)])
    return []


def _property(file: Path, labels: NDArray[np.float32]) -> list[Finding]:
    """The number of classes in the first line of `property` against the labels."""
    try:
        first = (file.parent / "property").read_text("utf-8", "replace").partition("\n")[0]
    except OSError:
        return []
    said = first.split(",")[0].strip()
    found_classes = int(np.nanmax(labels)) + 1
    wrong = not said.isdigit() or int(said) != found_classes
    text = f'property says "{first.strip()[:60]}", the labels go up to {found_classes - 1}'
    return found("property-differs", int(wrong), [text])
