"""Labelled faces of one or several sources: images by position, with labels 0 to C-1.

Data flow: stores and lists that `sources` opened -> here -> `split`, `loader`. Keys stay in
memory-mapped files (`key_index`); a set of its own holds 8 bytes an image for its labels, and 4
(8 above 2**31 images) for the place of each where it is a selection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels
from lfs_ray.data.key_index import KeyIndex
from lfs_ray.data.pairs import person_of
from lfs_ray.data.store import LmdbStore
from lfs_ray.errors import DataError

_AT_ONCE = 1 << 13


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
    indexes: tuple[KeyIndex, ...]
    """Keys of each source, selected or not."""
    rows: NDArray[np.integer] | None
    """Place of each image of this set in the joined sources, (N,); None: all, in their order."""
    labels: NDArray[np.int64]
    """Label of each image, (N,)."""
    num_classes: int
    """Number of classes."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def keys(self) -> FaceKeys:
        """Key of each image within its source, (N,): a view that reads them when asked."""
        return FaceKeys(self)

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
        rows, labels = self._relabelled(new_label)
        return FaceSet(
            table=self.table,
            stores=self.stores,
            indexes=self.indexes,
            rows=rows,
            labels=labels,
            num_classes=len(chosen),
        )

    def unlabelled(self) -> FaceSet:
        """The images of the joined sources, by `joined_rows`, without their labels.

        It only decodes, and takes no memory for each image where it is sent.
        """
        return replace(self, rows=None, labels=np.empty(0, np.int64), num_classes=0)

    def joined_rows(self, indices: NDArray[np.integer]) -> NDArray[np.int64]:
        """Place of each image of `indices` in the joined sources."""
        return np.asarray(indices if self.rows is None else self.rows[indices], np.int64)

    def people(self) -> frozenset[str]:
        """Names of the people: of each class the folder of its first image, where it has one."""
        first = np.full(self.num_classes, -1, np.int64)
        for start in reversed(range(0, len(self), _AT_ONCE)):
            labels = self.labels[start : start + _AT_ONCE]
            # Of several images of a class the last assignment stays, that of the first image.
            first[labels[::-1]] = np.arange(start + len(labels) - 1, start - 1, -1)
        names = (person_of(key.decode()) for key in self._encoded_keys(first[first >= 0]))
        return frozenset(filter(None, names))

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        """Pixels (H, W, 3) uint8 of image `index`.

        Raises:
            DataError: The key is missing or the image undecodable; names key and LMDB.
        """
        place, row = self._place_of(index)
        return self.stores[place].image(self.indexes[place].encoded(row).decode(), colour)

    @contextmanager
    def encoded(self, indices: NDArray[np.int64]) -> Iterator[Iterator[memoryview | None]]:
        """Encoded image of each of `indices`, not copied, to be read inside of the context.

        Each is looked up when it is taken: all at once would hold the interpreter too long.

        None stands for what only `image` reads or refuses: a missing key, raw planes.
        """
        places, rows = self._places_of(indices)
        with ExitStack() as opened:
            streams = []
            for place, (store, index) in enumerate(zip(self.stores, self.indexes, strict=True)):
                keys = index.each(rows[places == place])
                streams.append(iter(opened.enter_context(store.encoded(keys))))
            if len(streams) == 1:  # the usual case, with one step less for each image
                yield streams[0]
            else:
                yield (next(streams[place]) for place in places.tolist())

    def key(self, index: int) -> str:
        """Key of image `index` within its source."""
        place, row = self._place_of(index)
        return self.indexes[place].encoded(row).decode()

    def name(self, index: int) -> str:
        """Key and source of image `index`, for messages."""
        place, _ = self._place_of(index)
        return f"{self.key(index)} of {self.table[place].source}"

    def digest(self) -> str:
        """SHA-256 over keys and labels in their order, in hexadecimal."""
        total = hashlib.sha256()
        for start in range(0, len(self), _AT_ONCE):
            indices = np.arange(start, min(start + _AT_ONCE, len(self)))
            rows = zip(self._encoded_keys(indices), self.labels[indices].tolist(), strict=True)
            total.update(b"".join(b"%b %d\n" % row for row in rows))
        return total.hexdigest()

    def check(self, *, sample: int = 256, max_bad_images: int = 0) -> int:
        """Look up every key, decode `sample` images spread over the set; return the undecodable.

        Raises:
            DataError: Keys are missing, or more than `max_bad_images` images are undecodable.
        """
        for place, store in enumerate(self.stores):
            missing = store.missing(key.decode() for key in self._keys_of(place))
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

    def _relabelled(
        self, new_label: NDArray[np.int64]
    ) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """Rows and labels of the images whose class has a new label that is not -1."""
        counts = np.bincount(self.labels, minlength=self.num_classes)
        total = int(counts[new_label >= 0].sum())
        num_rows = sum(source.images for source in self.table)
        rows: NDArray[np.integer] = np.empty(total, np.int32 if num_rows < 2**31 else np.int64)
        labels = np.empty(total, np.int64)
        done = 0
        for start in range(0, len(self), _AT_ONCE):
            some = new_label[self.labels[start : start + _AT_ONCE]]
            kept = np.flatnonzero(some >= 0)
            part = slice(done, done + len(kept))
            labels[part] = some[kept]
            rows[part] = kept + start if self.rows is None else self.rows[kept + start]
            done += len(kept)
        return rows, labels

    def _place_of(self, index: int) -> tuple[int, int]:
        """Source of an image, and its line in that."""
        num_rows = sum(source.images for source in self.table)
        row = range(num_rows)[index] if self.rows is None else int(self.rows[index])
        for place, source in enumerate(self.table):
            if row < source.images:
                return place, row
            row -= source.images
        raise IndexError(index)

    def _places_of(
        self, indices: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Source of each image, and its line in that."""
        rows = self.joined_rows(indices)
        ends = np.cumsum([source.images for source in self.table])
        places = np.searchsorted(ends, rows, side="right")
        return places, rows - np.append(0, ends)[places]

    def _encoded_keys(self, indices: NDArray[np.integer]) -> Iterator[bytes]:
        """Keys (UTF-8) of the images at `indices`."""
        places, rows = self._places_of(indices)
        cuts = np.flatnonzero(np.diff(places)) + 1
        for some, lines in zip(np.split(places, cuts), np.split(rows, cuts), strict=True):
            if len(some):
                yield from self.indexes[int(some[0])].each(lines)

    def _keys_of(self, place: int) -> Iterator[bytes]:
        """Keys (UTF-8) of the images of one source."""
        for start in range(0, len(self), _AT_ONCE):
            places, rows = self._places_of(np.arange(start, min(start + _AT_ONCE, len(self))))
            yield from self.indexes[place].each(rows[places == place])


class FaceKeys(Sequence[str]):
    """Keys of a set, by position; each is read from the list when it is asked for."""

    def __init__(self, faces: FaceSet) -> None:
        self._faces = faces

    def __len__(self) -> int:
        return len(self._faces)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._faces.key(place) for place in range(*index.indices(len(self)))]
        return self._faces.key(index)
