"""Samples of one WebDataset shard: neighbouring files that share a name up to the first dot.

Data flow: `tar_members` -> here -> `tars`. A sample is an image (`.jpg`, `.png`, ...) and its
label: `.cls`, a whole number as text, or `.json` with `label` and perhaps `identity`.
"""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.listing import MAX_LABEL, Keys
from lfs_ray.data.packing.folder import IMAGE_SUFFIXES
from lfs_ray.data.packing.repeats import first_repeat
from lfs_ray.data.packing.tar_members import Member, members_of
from lfs_ray.errors import DataError

_LABEL_BYTES_MAX = 1 << 20
_WHOLE = re.compile(rb"\s*-?[0-9]{1,18}\s*")


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Samples of one shard, in its order."""

    path: Path
    names: Keys
    """Path of each sample up to the first dot of its base name, (N,)."""
    starts: NDArray[np.int64]
    """First byte of each image within the tar, (N,)."""
    sizes: NDArray[np.int64]
    """Length of each image in bytes, (N,)."""
    labels: NDArray[np.int64]
    """Label of each image as written, (N,)."""
    identities: dict[int, set[str]]
    """Names that the samples of a label give it; "" where one gives none."""
    files_left_out: int
    """Files that are neither image nor label."""


class _Label(NamedTuple):
    label: int
    identity: str


@dataclass(slots=True)
class _Columns:
    """Growing columns of a shard."""

    text: bytearray = field(default_factory=bytearray)
    ends: array[int] = field(default_factory=lambda: array("q"))
    starts: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    labels: array[int] = field(default_factory=lambda: array("q"))
    identities: dict[int, set[str]] = field(default_factory=dict)

    def add(self, name: str, image: Member, label: _Label) -> None:
        self.text += name.encode("utf-8", "surrogateescape")
        self.ends.append(len(self.text))
        self.starts.append(image.start)
        self.sizes.append(image.size)
        self.labels.append(label.label)
        self.identities.setdefault(label.label, set()).add(label.identity)


def read_shard(path: Path) -> Shard:
    """Go through the headers of a shard, and read its labels.

    Raises:
        DataError: A broken tar; a sample that comes twice, or has no image, two images, no label
            or none that is a whole number; names shard, sample and byte.
    """
    columns = _Columns()
    left_out = 0
    with path.open("rb", buffering=0) as file:
        for name, members in groupby(members_of(path), lambda member: _split(member.name)[0]):
            kinds, others = _by_extension(members, name, path)
            left_out += others
            if kinds:
                image, label = _image_and_label(kinds, name, path, file.fileno())
                columns.add(name, image, label)
    names = Keys(bytes(columns.text), np.array(columns.ends, np.int64))
    _refuse_repeats(names, columns, path)
    starts, sizes, labels = (
        np.array(part, np.int64) for part in (columns.starts, columns.sizes, columns.labels)
    )
    return Shard(path, names, starts, sizes, labels, columns.identities, left_out)


def _split(name: str) -> tuple[str, str]:
    """Path up to the first dot of the base name, and the rest of it in small letters."""
    folder, _, base = name.removeprefix("./").rpartition("/")
    stem, _, extension = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), extension.lower()


def _by_extension(
    members: Iterator[Member], name: str, path: Path
) -> tuple[dict[str, Member], int]:
    """Image and label files of a sample, and the number of its other files."""
    kinds: dict[str, Member] = {}
    others = 0
    for member in members:
        extension = _split(member.name)[1]
        kind = "image" if f".{extension}" in IMAGE_SUFFIXES else extension
        if kind not in ("image", "cls", "json"):
            others += 1
        elif kind in kinds:
            raise DataError(
                f'{path} must have one {kind} a sample, "{name}" has another at byte '
                f"{member.start}, after that at byte {kinds[kind].start}"
            )
        else:
            kinds[kind] = member
    return kinds, others


def _image_and_label(
    kinds: dict[str, Member], name: str, path: Path, descriptor: int
) -> tuple[Member, _Label]:
    def refuse(reason: str) -> DataError:
        start = min(member.start for member in kinds.values())
        return DataError(f'{path} sample "{name}" at byte {start} must have {reason}')

    if "image" not in kinds:
        raise refuse(f"an image, it has only {' and '.join(sorted(kinds))}")
    kind = "cls" if "cls" in kinds else "json"
    member = kinds.get(kind)
    if member is None:
        raise refuse("a label in a .cls or .json file, it has none")
    text = os.pread(descriptor, min(member.size, _LABEL_BYTES_MAX), member.start)
    label = _LABEL_READERS[kind](text)
    if label is None or not 0 <= label.label <= MAX_LABEL:
        shown = text[:60].decode(errors="replace")
        raise refuse(f"a whole label of 0 or more in its .{kind} file, got {shown!a}")
    return kinds["image"], label


def _read_cls(text: bytes) -> _Label | None:
    return _Label(int(text), "") if _WHOLE.fullmatch(text) else None


def _read_json(text: bytes) -> _Label | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    label = content.get("label") if isinstance(content, dict) else None
    if not isinstance(label, int) or isinstance(label, bool):
        return None
    return _Label(label, str(content.get("identity") or ""))


_LABEL_READERS = {"cls": _read_cls, "json": _read_json}


def _refuse_repeats(names: Keys, columns: _Columns, path: Path) -> None:
    if repeat := first_repeat(names):
        earlier, later = (columns.starts[place] for place in repeat)
        name = names.encoded(repeat[0]).decode("utf-8", "surrogateescape")
        raise DataError(
            f'samples of {path} must have different names, "{name}" comes at byte {earlier} and '
            f"again at byte {later}"
        )
