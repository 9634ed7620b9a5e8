"""Labels of RecordIO records, and which records are images.

Data flow: `record_frames` -> here -> `recordio`. A payload begins with u32 count, f32 label, u64
id, u64 id2, then `count` f32 labels that take the place of the first; the image bytes follow.

Two layouts are told apart. Classic: key 0 is a header, with labels (first identity key, end key)
and no image; after the images come identity records, with labels (first, end) of their images'
keys and no image. Plain: every key is an image. Record 0 is a header only if it has labels and no
image: an image may have several labels, too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.listing import MAX_LABEL
from lfs_ray.data.packing.record_frames import (
    LENGTH_MASK,
    OTHER_INDEX,
    Frames,
    mapped_words,
    payload_of,
)
from lfs_ray.errors import DataError

_FRAME_HEAD_BYTES = 8
_FRAME_HEAD_WORDS = 2
_WHOLE_HEAD = struct.Struct("<III")
_WHOLE_HEAD_BYTES = _FRAME_HEAD_BYTES + 24
_HEADER = struct.Struct("<IfQQ")
_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """What the payloads of N records begin with."""

    counts: NDArray[np.int64]
    """Number of labels in the vector, 0 for a single label, (N,)."""
    first: NDArray[np.float32]
    """Label, or first label of the vector, (N,)."""
    second: NDArray[np.float32]
    """Second label of the vector, where there is one, (N,)."""
    image_bytes: NDArray[np.int64]
    """Length of the image; 0 without one, negative when the payload is too short, (N,)."""

    @property
    def is_index(self) -> NDArray[np.bool_]:
        """Records with labels and no image: header or identity, (N,)."""
        index: NDArray[np.bool_] = (self.image_bytes == 0) & (self.counts > 0)
        return index


def read_heads(frames: Frames) -> Heads:
    """Look at the head of every record.

    Raises:
        DataError: A record is shorter than its head; names file, key and byte.
    """
    num = len(frames)
    heads = Heads(
        np.zeros(num, np.int64),
        np.zeros(num, np.float32),
        np.zeros(num, np.float32),
        np.zeros(num, np.int64),
    )
    words = mapped_words(frames.path)
    for begin in range(0, num, _AT_ONCE):
        rows = np.arange(begin, min(begin + _AT_ONCE, num))
        _fill(heads, frames, rows[~frames.cut[rows]], words)
    _fill_cut(heads, frames, words)
    wrong = np.flatnonzero(heads.image_bytes < 0)
    if len(wrong):
        raise DataError(f"{frames.place(int(wrong[0]))} must hold a head, it is too short")
    return heads


def image_rows(frames: Frames, heads: Heads) -> NDArray[np.int64]:
    """Rows of the records that are images.

    Raises:
        DataError: A record without image, or header and identity records that contradict the
            keys; names file, key and byte.
    """
    rows = np.flatnonzero(~heads.is_index)
    empty = rows[heads.image_bytes[rows] == 0]
    if len(empty):
        raise DataError(f"{frames.place(int(empty[0]))} must hold an image, it is empty")
    if not len(rows):
        raise DataError(f"{frames.path} must hold an image, it holds none")
    if frames.indexed and frames.keys[0] == 0 and heads.is_index[0]:
        _check_ranges(frames, heads)
    return rows


def checked_labels(
    frames: Frames, labels: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Labels of images as integers.

    Raises:
        DataError: A label is negative, has a fraction, or is no number; names file, key and byte.
    """
    with np.errstate(invalid="ignore"):
        good = (labels >= 0) & (labels <= MAX_LABEL) & (labels == np.floor(labels))
    if not good.all():
        place = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"{frames.place(int(rows[place]))} must have a whole label of 0 or more, "
            f"got {labels[place]:g}"
        )
    return labels.astype(np.int64)


def _fill(
    heads: Heads, frames: Frames, rows: NDArray[np.int64], words: NDArray[np.uint32]
) -> None:
    """Heads of records in one part."""
    begin = frames.starts[rows] // 4 + _FRAME_HEAD_WORDS
    payload = (words[begin - 1] & LENGTH_MASK).astype(np.int64)
    heads.image_bytes[rows] = payload - _HEADER.size
    long_enough = payload >= _HEADER.size
    rows, begin, payload = rows[long_enough], begin[long_enough], payload[long_enough]
    counts = words[begin].astype(np.int64)
    heads.counts[rows] = counts
    heads.image_bytes[rows] = payload - _HEADER.size - 4 * counts
    heads.first[rows] = words[begin + 1].view(np.float32)
    after = begin + _HEADER.size // 4
    for values, place in ((heads.first, 0), (heads.second, 1)):
        there = (counts > place) & (heads.image_bytes[rows] >= 0)
        values[rows[there]] = words[after[there] + place].view(np.float32)


def _fill_cut(heads: Heads, frames: Frames, words: NDArray[np.uint32]) -> None:
    """Heads of records in several parts: few, so that each is put together."""
    for row in np.flatnonzero(frames.cut).tolist():
        start, end = frames.starts[row] // 4, (frames.starts[row] + frames.sizes[row]) // 4
        payload = payload_of(words[start:end].tobytes())
        heads.image_bytes[row] = len(payload) - _HEADER.size
        if len(payload) < _HEADER.size:
            continue
        count, heads.first[row], _, _ = _HEADER.unpack_from(payload)
        heads.counts[row] = count
        heads.image_bytes[row] -= 4 * count
        if count and heads.image_bytes[row] >= 0:
            vector = np.frombuffer(payload, "<f4", count, _HEADER.size)
            heads.first[row] = vector[0]
            heads.second[row] = vector[1] if count > 1 else 0


def _check_ranges(frames: Frames, heads: Heads) -> None:
    """Compare header and identity records with the keys there are.

    The ranges are float32, which rounds integers over 2^24: they are compared as such.
    """
    keys = frames.keys
    rows = np.flatnonzero(heads.is_index)[1:]
    first_identity = int(keys[rows[0]]) if len(rows) else int(keys[-1]) + 1
    found = np.array([first_identity, int(keys[-1]) + 1], np.float32)
    if (
        heads.first[0] != found[0]
        or heads.second[0] != found[1]
        or len(rows) != np.sum(keys >= first_identity)
    ):
        raise DataError(
            f"{frames.place(0)} says that identity records are keys {heads.first[0]:.0f} to "
            f"{heads.second[0] - 1:.0f}, the .idx has {len(rows)}, from key {first_identity} to "
            f"{keys[-1]}: {OTHER_INDEX}"
        )
    begin, end = heads.first[rows], heads.second[rows]
    named = np.searchsorted(keys, end) - np.searchsorted(keys, begin)
    wrong = (begin < 1) | (end > heads.first[0]) | (named != end - begin)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{frames.place(int(rows[place]))} says that its images are keys {begin[place]:.0f} "
            f"to {end[place] - 1:.0f}, the .idx has {named[place]} of them: {OTHER_INDEX}"
        )


def image_of(frame: bytes) -> bytes:
    """Image inside a record that is known to be whole."""
    _, mark, count = _WHOLE_HEAD.unpack_from(frame)
    if mark <= LENGTH_MASK:  # in one part
        return frame[_WHOLE_HEAD_BYTES + 4 * count : _FRAME_HEAD_BYTES + mark]
    payload = payload_of(frame)
    (count, *_) = _HEADER.unpack_from(payload)
    return payload[_HEADER.size + 4 * count :]
