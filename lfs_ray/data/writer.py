"""Write a packed data set: LMDB, list, class names, manifest; one directory that appears whole.

Data flow: (key, encoded image, label) records from `pack` or `synthetic` -> here -> a directory
that `sources` opens:

    data.lmdb       LMDB file, key (UTF-8) -> Datum message with the encoded image
    list.txt        `key label`, one image a line, in the order the records came
    labels.tsv      class name and label, one class a line, label 0 first
    manifest.json   what it was made from, counts, image size, checksum

Lists and manifest have the same bytes for the same records: no date, no host, no absolute path.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import lmdb

from lfs_ray import __version__
from lfs_ray.data import datum
from lfs_ray.data.decode import image_size
from lfs_ray.data.store import LmdbStore
from lfs_ray.errors import DataError

LMDB_NAME = "data.lmdb"
LIST_NAME = "list.txt"
LABELS_NAME = "labels.tsv"
MANIFEST_NAME = "manifest.json"

_MAX_KEY_BYTES = 511
_RECORDS_PER_COMMIT = 2000
_FIRST_MAP_BYTES = 1 << 30
_DECODED_SAMPLE = 64


class Record(NamedTuple):
    """One image to pack."""

    key: str
    """Name of the image within the set: unique, one line, at most 511 bytes of UTF-8."""
    image: bytes
    """Encoded image: a whole JPEG, PNG, ... file."""
    label: int
    """Class of the image, 0 to C-1."""


@dataclass(slots=True)
class _Tally:
    """What the records summed up to."""

    images: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)
    images_of_class: dict[int, int] = field(default_factory=dict)
    checksum: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, record: Record, size_px: tuple[int, int]) -> None:
        self.images += 1
        if len(self.sizes) < 2:
            self.sizes.add(size_px)
        count = self.images_of_class.get(record.label, 0)
        self.images_of_class[record.label] = count + 1
        self.checksum.update(f"{record.key} {record.label}\n".encode())
        self.checksum.update(hashlib.sha256(record.image).digest())


def write_packed(
    dst: str | os.PathLike[str],
    records: Iterable[Record | tuple[str, bytes, int]],
    *,
    class_names: Sequence[str],
    source: Mapping[str, object],
) -> dict[str, object]:
    """Write a packed data set and check what was written.

    Everything is written to a hidden sibling directory, read back, then renamed: `dst` exists
    whole or not at all, also when the records raise.

    Args:
        dst: Directory to make; it must not exist yet.
        records: (key, encoded image, label) triples, in the order of the list.
        class_names: Name of each class; every class must have an image.
        source: What the set was made from; goes into the manifest as it is.

    Returns:
        The manifest.

    Raises:
        DataError: `dst` exists; a key is unusable or comes twice; a class is empty; bytes are no
            image.
    """
    with whole_directory(dst) as folder:
        try:
            tally = _write_records(
                folder, (Record(*record) for record in records), len(class_names)
            )
        except (OSError, lmdb.Error) as error:
            raise DataError(f"{os.fspath(dst)} cannot be written ({error})") from None
        _check_classes(tally, class_names)
        rows = "".join(f"{name}\t{label}\n" for label, name in enumerate(class_names))
        (folder / LABELS_NAME).write_text(rows, encoding="utf-8", newline="\n")
        manifest = _manifest(tally, source)
        text = json.dumps(manifest, indent=2, ensure_ascii=True) + "\n"
        (folder / MANIFEST_NAME).write_text(text, encoding="utf-8", newline="\n")
        _verify(folder, tally.images)
    return manifest


def refuse_existing(dst: str | os.PathLike[str]) -> None:
    """Raise DataError when `dst` exists: a packed set is never overwritten."""
    if os.path.lexists(dst):
        raise DataError(
            f"the packed data set must be a new directory, {os.fspath(dst)} exists: remove it or "
            "choose another name"
        )


@contextmanager
def whole_directory(dst: str | os.PathLike[str]) -> Iterator[Path]:
    """A new directory beside `dst` that becomes `dst` at the end, or vanishes after an error.

    Raises:
        DataError: `dst` exists, or its parent cannot be written.
    """
    refuse_existing(dst)
    target = Path(dst)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{target.name}.unfinished-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    except OSError as error:
        raise DataError(f"{target.parent} must be a writable directory ({error})") from None
    try:
        folder.chmod(0o755)
        yield folder
        try:
            os.rename(folder, target)
        except OSError:
            refuse_existing(dst)  # another process was faster
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_records(folder: Path, records: Iterator[Record], num_classes: int) -> _Tally:
    tally = _Tally()
    path = str(folder / LMDB_NAME)
    env = lmdb.open(path, subdir=False, lock=False, sync=False, map_size=_FIRST_MAP_BYTES)
    try:
        with (folder / LIST_NAME).open("w", encoding="utf-8", newline="\n") as listing:
            while batch := list(islice(records, _RECORDS_PER_COMMIT)):
                for record in batch:
                    _check_record(record, num_classes)
                    tally.add(record, _size_px(record))
                    listing.write(f"{record.key} {record.label}\n")
                _commit(env, batch)
        env.sync(True)
    finally:
        env.close()
    return tally


def _commit(env: lmdb.Environment, batch: Sequence[Record]) -> None:
    """Store a batch in one transaction; a full map is doubled and the batch stored again."""
    while True:
        try:
            with env.begin(write=True) as txn:
                for record in batch:
                    value = datum.encode(record.image, record.label)
                    if not txn.put(record.key.encode(), value, overwrite=False):
                        raise DataError(f'keys must be unique, "{record.key}" comes twice')
            return
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])


def _check_record(record: Record, num_classes: int) -> None:
    key = record.key
    if not 0 < len(key.encode("utf-8", "surrogateescape")) <= _MAX_KEY_BYTES:
        raise DataError(
            f"a key must have 1 to {_MAX_KEY_BYTES} bytes, "
            f'"{key[:60]}..." has {len(key.encode("utf-8", "surrogateescape"))}'
        )
    if not key.isprintable() or key != key.strip():
        raise DataError(
            f"a key must be printable text without blanks at its ends, got "
            f"{key!a}: rename the file"
        )
    if not 0 <= record.label < num_classes:
        raise DataError(f'the label of "{key}" must be 0 to {num_classes - 1}, got {record.label}')


def _size_px(record: Record) -> tuple[int, int]:
    try:
        return image_size(record.image)
    except DataError as error:
        raise DataError(f'image "{record.key}": {error}') from None


def _check_classes(tally: _Tally, class_names: Sequence[str]) -> None:
    if not class_names:
        raise DataError("a packed data set must have at least one class, got none")
    for label, name in enumerate(class_names):
        if label not in tally.images_of_class:
            raise DataError(f'every class must have an image, class "{name}" has none')


def _manifest(tally: _Tally, source: Mapping[str, object]) -> dict[str, object]:
    uniform = next(iter(tally.sizes)) if len(tally.sizes) == 1 else None
    counts = tally.images_of_class.values()
    return {
        "format": "lfs-ray packed images 1",
        "tool_version": __version__,
        "source": dict(source),
        "images": tally.images,
        "classes": len(counts),
        "images_per_class": {"min": min(counts), "max": max(counts)},
        "height_width_px": None if uniform is None else list(uniform),
        "decoded_colour_order": "rgb",
        "checksum": f"sha256:{tally.checksum.hexdigest()}",
    }


def _verify(folder: Path, num_images: int) -> None:
    """Read back: as many entries as images, and a sample that decodes."""
    lines = (folder / LIST_NAME).read_text(encoding="utf-8").splitlines()
    store = LmdbStore(folder / LMDB_NAME)
    if not num_images == len(lines) == len(store):
        raise DataError(
            f"wrote {num_images} images, but read back {len(store)} entries and "
            f"{len(lines)} lines: the disk or its driver lost data"
        )
    for line in lines[:: max(1, num_images // _DECODED_SAMPLE)]:
        store.image(line.rsplit(" ", 1)[0])
