"""Labelled faces for training: packed data sets and LMDBs, joined.

Data flow: `pack`, `synthetic` or foreign LMDBs -> here -> `FaceSet` -> `split`, `loader`. Source k
gets the labels after those of the sources before it; the table of offsets goes into the run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels
from lfs_ray.data.listing import Keys, Listing, check_labels, read_list
from lfs_ray.data.pairs import person_of
from lfs_ray.data.store import LmdbStore
from lfs_ray.errors import DataError

_LIST_NAME = "list.txt"
_MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Source:
    """One row of the table of joined sources."""

    source: str
    """Path as it was given."""
    offset: int
    """Label of its first class."""
    classes: int
    """Number of its classes."""
    images: int
    """Number of its images."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FaceSet:
    """Images with labels 0 to num_classes-1; compact, and cheap to send to another process."""

    table: tuple[Source, ...]
    """The joined sources, as they were opened."""
    stores: tuple[LmdbStore, ...]
    """Store of each source."""
    all_keys: Keys
    """Keys of all images of all sources, selected or not."""
    rows: NDArray[np.int64]
    """Place of each image of this set in `all_keys`, (N,)."""
    labels: NDArray[np.int64]
    """Label of each image, (N,)."""
    num_classes: int
    """Number of classes."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def keys(self) -> Keys:
        """Key of each image within its source, (N,)."""
        return Keys.of(self.all_keys.encoded(int(row)) for row in self.rows)

    def select(self, identities: NDArray[np.integer]) -> FaceSet:
        """Images of some classes; class identities[i] becomes label i.

        Raises:
            DataError: A class does not exist or comes twice.
        """
        chosen = np.asarray(identities, np.int64)
        inside = (chosen >= 0) & (chosen < self.num_classes)
        if not inside.all() or len(np.unique(chosen)) != len(chosen):
            raise DataError(
                f"classes to select must be different labels of 0 to "
                f"{self.num_classes - 1}, got {chosen.tolist()[:10]}"
            )
        new_label = np.full(self.num_classes, -1, np.int64)
        new_label[chosen] = np.arange(len(chosen))
        labels = new_label[self.labels]
        kept = labels >= 0
        return FaceSet(
            table=self.table,
            stores=self.stores,
            all_keys=self.all_keys,
            rows=self.rows[kept],
            labels=labels[kept],
            num_classes=len(chosen),
        )

    def people(self) -> frozenset[str]:
        """Names of the people: of each class the folder of its first image, where it has one."""
        first = np.unique(self.labels, return_index=True)[1]
        names = (person_of(self.all_keys[int(row)]) for row in self.rows[first])
        return frozenset(filter(None, names))

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 of image `index`.

        Raises:
            DataError: The key is missing or the image undecodable; names key and LMDB.
        """
        row = int(self.rows[index])
        return self.stores[self._source_of(row)].image(self.all_keys[row], colour)

    def name(self, index: int) -> str:
        """Key and source of image `index`, for messages."""
        row = int(self.rows[index])
        return f"{self.all_keys[row]} of {self.table[self._source_of(row)].source}"

    def digest(self) -> str:
        """SHA-256 over keys and labels in their order, in hexadecimal."""
        total = hashlib.sha256()
        for row, label in zip(self.rows.tolist(), self.labels.tolist(), strict=True):
            total.update(b"%b %d\n" % (self.all_keys.encoded(row), label))
        return total.hexdigest()

    def check(self, *, sample: int = 256, max_bad_images: int = 0) -> int:
        """Look up every key, decode `sample` images spread over the set; return the undecodable.

        Raises:
            DataError: Keys are missing, or more than `max_bad_images` images are undecodable.
        """
        sources = np.array([self._source_of(row) for row in self.rows.tolist()], np.int64)
        for position, store in enumerate(self.stores):
            rows = self.rows[sources == position]
            missing = store.missing(self.all_keys[int(row)] for row in rows)
            if missing:
                raise DataError(
                    f"all keys must be in the LMDB {store.path}, {len(missing)} are "
                    f'not, the first is "{missing[0]}"'
                )
        return self._count_undecodable(sample, max_bad_images)

    def _count_undecodable(self, sample: int, max_bad_images: int) -> int:
        picked = np.unique(np.linspace(0, len(self) - 1, min(sample, len(self))).astype(np.int64))
        bad = 0
        for index in picked.tolist():
            try:
                self.image(index)
            except DataError:
                bad += 1
                if bad > max_bad_images:
                    raise
        return bad

    def _source_of(self, row: int) -> int:
        for position, source in enumerate(self.table):
            row -= source.images
            if row < 0:
                return position
        raise IndexError(row)


def open_faces(sources: Sequence[str], lists: Sequence[str] = ()) -> FaceSet:
    """Join packed data sets and LMDBs; labels of later ones come after those of earlier ones.

    Args:
        sources: Packed directories, LMDB directories or LMDB files.
        lists: List file of each source, "" for the `list.txt` inside it; empty: all inside.

    Raises:
        DataError: No source, a source without images, a broken LMDB, list or label.
    """
    if not sources:
        raise DataError("at least one source of training images must be given, got none")
    if lists and len(lists) != len(sources):
        raise DataError(
            f"lists must be one for each of the {len(sources)} sources, got "
            f'{len(lists)}: write "" for a list inside its source'
        )
    table: list[Source] = []
    stores: list[LmdbStore] = []
    listings: list[Listing] = []
    offset = 0
    for source, list_file in zip(sources, lists or [""] * len(sources), strict=True):
        store, listing, classes = _open_source(source, list_file)
        table.append(Source(source, offset, classes, len(listing.labels)))
        stores.append(store)
        listings.append(listing)
        offset += classes
    labels = [part.labels + row.offset for part, row in zip(listings, table, strict=True)]
    return FaceSet(
        table=tuple(table),
        stores=tuple(stores),
        all_keys=Keys.join(part.keys for part in listings),
        rows=np.arange(sum(row.images for row in table)),
        labels=np.concatenate(labels),
        num_classes=offset,
    )


def _open_source(source: str, list_file: str) -> tuple[LmdbStore, Listing, int]:
    if not os.path.exists(source):
        raise DataError(
            f"training source {source} must exist, it does not: pack images with "
            "`lfs-ray data pack`"
        )
    store = LmdbStore(source)
    place = list_file or os.path.join(source, _LIST_NAME)
    if not list_file and not os.path.isfile(place):
        raise DataError(
            f"training source {source} must hold {_LIST_NAME}, or its list must be given"
        )
    listing = read_list(place)
    classes = check_labels(listing, place)
    len(store)  # opens it: a broken LMDB is found now
    if not list_file:
        _check_manifest(Path(source), len(listing.labels))
    return store, listing, classes


def _check_manifest(source: Path, num_images: int) -> None:
    """A packed set whose list was edited no longer is what its manifest says."""
    try:
        manifest = json.loads((source / _MANIFEST_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise DataError(f"{source / _MANIFEST_NAME} must be a manifest ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("images") != num_images:
        raise DataError(
            f"{source / _MANIFEST_NAME} must count the {num_images} images of the "
            f"list: pack {source} again, or give the list with the source"
        )
