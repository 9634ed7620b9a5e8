"""Another LMDB of Datum messages and its list: a packed set of ours, or one made elsewhere.

Data flow: LMDB + list -> here -> the packing pipeline. Labels come from the list, not from the
messages; raw planes become PNG, encoded images stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image

from lfs_ray.data import datum
from lfs_ray.data.environment import find_lmdb, shared_environment
from lfs_ray.data.listing import Listing, read_list
from lfs_ray.data.packed_files import LABELS_NAME, LIST_NAME, MANIFEST_NAME
from lfs_ray.data.packing.class_tables import (
    LIST_TABLE_SUFFIX,
    names_beside_list,
    names_in_set,
)
from lfs_ray.data.packing.fingerprint import fingerprint_of
from lfs_ray.data.packing.labels import renumber
from lfs_ray.data.packing.repeats import first_repeat
from lfs_ray.data.packing.source import Record
from lfs_ray.errors import DataError


class LmdbSource:
    """Images of an LMDB that a list names, in the list's order.

    Raises:
        DataError: A broken LMDB or list, a key that comes twice or is not in the LMDB.
    """

    def __init__(self, place: Path, list_file: str) -> None:
        file = find_lmdb(place)
        if file is None:
            raise DataError(f"{place} must be an LMDB: a file, or a folder with data.mdb")
        self._file = file
        folder = place if place.is_dir() else place.parent
        list_path = Path(list_file) if list_file else folder / LIST_NAME
        if not list_path.is_file():
            raise DataError(
                f"the LMDB {place} must come with a list of `key label` lines, {list_path} is no "
                "file: give the list"
            )
        listing = read_list(list_path)
        _check_listing(listing, list_path)
        self._keys = listing.keys
        self._environment = shared_environment(file)
        _check_keys(self._environment, listing, list_path, file)
        classes = renumber(listing.labels)
        self.labels = classes.labels
        beside, own = Path(f"{list_path}{LIST_TABLE_SUFFIX}"), folder / LABELS_NAME
        self.class_names: Sequence[str] = classes.names
        tables: list[Path] = []
        if beside.is_file():
            tables = [beside]
            self.class_names = names_beside_list(classes.names, beside)
        elif own.is_file() and (not list_file or self._numbered_as_stored(listing)):
            tables = [own]
            self.class_names = names_in_set(classes.names, own)
        self.facts: Mapping[str, object] = {
            "kind": "lmdb",
            "files": [Path(file).name, list_path.name],
            "keys_left_out": int(self._environment.stat()["entries"]) - len(listing.labels),
            "labels_renumbered": classes.renumbered,
            **_manifest_facts(folder / MANIFEST_NAME),
        }
        self.fingerprint = fingerprint_of([Path(file), list_path, *tables])

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, start: int, stop: int) -> list[Record]:
        """Images of the messages; raw planes as PNG.

        Raises:
            DataError: A message cannot be read; names LMDB and key.
        """
        environment = shared_environment(self._file)
        records: list[Record] = []
        try:
            with environment.begin(buffers=False) as txn:
                for place in range(start, stop):
                    value = txn.get(self._keys.encoded(place))
                    image = _image_of(value, self._keys[place], self._file)
                    records.append(Record(self._keys[place], image, int(self.labels[place])))
        except lmdb.Error as error:
            raise DataError(f"{self._file} cannot be read ({error})") from None
        return records

    def _numbered_as_stored(self, listing: Listing) -> bool:
        """Whether the first image of each listed label has that label in its message, too.

        A list of one's own may number the classes anew: names of the old numbers are none of its.
        """
        first = np.unique(listing.labels, return_index=True)[1].tolist()
        with self._environment.begin() as txn:
            values = [txn.get(listing.keys.encoded(place)) for place in first]
        try:
            stored = [datum.decode(value or b"").label for value in values]
        except DataError:
            return False  # reading it says what is wrong
        return bool((listing.labels[first] == stored).all())

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_environment": None}


def _image_of(value: bytes | None, key: str, file: str) -> bytes:
    try:
        if value is None:
            raise DataError("the LMDB has no such key any more")
        stored = datum.decode(value)
        if stored.shape_chw is None:
            return stored.data
        png = BytesIO()
        Image.fromarray(stored.planes_rgb()).save(png, "PNG", compress_level=1)
        return png.getvalue()
    except DataError as error:
        raise DataError(f'record "{key}" of {file}: {error}') from None


def _check_listing(listing: Listing, path: Path) -> None:
    if not len(listing.labels):
        raise DataError(f"list {path} must name at least one image, it is empty")
    negative = np.flatnonzero(listing.labels < 0)
    if len(negative):
        line, label = listing.lines[negative[0]], listing.labels[negative[0]]
        raise DataError(f"{path} line {line} must have a label of 0 or more, got {label}")
    if repeat := first_repeat(listing.keys):
        earlier, later = (int(listing.lines[place]) for place in repeat)
        raise DataError(
            f'keys must be unique, "{listing.keys[repeat[0]]}" comes twice in {path}, in lines '
            f"{earlier} and {later}: remove one"
        )


def _check_keys(
    environment: lmdb.Environment, listing: Listing, list_path: Path, file: str
) -> None:
    """Every listed key must be in the LMDB."""
    try:
        with environment.begin() as txn, txn.cursor() as cursor:
            for place in range(len(listing.labels)):
                if not cursor.set_key(listing.keys.encoded(place)):
                    raise DataError(
                        f"{list_path} line {listing.lines[place]} must name a key of the LMDB "
                        f'{file}, it has no "{listing.keys[place]}"'
                    )
    except lmdb.Error as error:
        raise DataError(f"{file} cannot be read ({error})") from None


def _manifest_facts(path: Path) -> dict[str, object]:
    """Of a packed set: what it was made from, and its checksum."""
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be a manifest ({error})") from None
    if not isinstance(manifest, dict):
        raise DataError(f"{path} must be a manifest, it is no table")
    return {"packed_from": manifest.get("source"), "packed_checksum": manifest.get("checksum")}
