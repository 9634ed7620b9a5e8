"""Open data sets for training: packed directories and LMDBs, joined.

Data flow: `pack`, `synthetic` or foreign LMDBs -> here -> `FaceSet` -> `split`, `loader`. Source k
gets the labels after those of the sources before it; the table of offsets goes into the run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.face_set import FaceSet, Source
from lfs_ray.data.key_index import KeyIndex, open_index
from lfs_ray.data.listing import check_labels, read_list
from lfs_ray.data.packed_files import INDEX_NAME, LIST_NAME, MANIFEST_NAME, read_manifest
from lfs_ray.data.store import LmdbStore
from lfs_ray.errors import DataError

__all__ = ["FaceSet", "Source", "open_faces"]


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
    indexes: list[KeyIndex] = []
    offset = 0
    for source, list_file in zip(sources, lists or [""] * len(sources), strict=True):
        store, index = _open_source(source, list_file)
        classes = _count_classes(index)
        table.append(Source(source, offset, classes, len(index)))
        stores.append(store)
        indexes.append(index)
        offset += classes
    return FaceSet(
        table=tuple(table),
        stores=tuple(stores),
        indexes=tuple(indexes),
        rows=None,
        labels=_joined_labels(table, indexes),
        num_classes=offset,
    )


def _open_source(source: str, list_file: str) -> tuple[LmdbStore, KeyIndex]:
    if not os.path.exists(source):
        raise DataError(
            f"training source {source} must exist, it does not: pack images with "
            "`lfs-ray data pack`"
        )
    store = LmdbStore(source)
    place = list_file or os.path.join(source, LIST_NAME)
    if not list_file and not os.path.isfile(place):
        raise DataError(
            f"training source {source} must hold {LIST_NAME}, or its list must be given"
        )
    index = open_index(place) if list_file else _packed_index(source, place)
    len(store)  # opens it: a broken LMDB is found now
    return store, index


def _packed_index(source: str, list_file: str) -> KeyIndex:
    """Index of the list inside a source, which its manifest counts if it has one."""
    manifest = read_manifest(source)
    if manifest is None:
        return open_index(list_file)
    table_file = os.path.join(source, INDEX_NAME)
    index = open_index(list_file, table_file, str(manifest.get("list_sha256", "")))
    if manifest.get("images") != len(index):
        raise DataError(
            f"{os.path.join(source, MANIFEST_NAME)} must count the {len(index)} images of the "
            f"list: pack {source} again, or give the list with the source"
        )
    return index


def _count_classes(index: KeyIndex) -> int:
    """Number of classes of an index whose labels are 0 to C-1, each present.

    Raises:
        DataError: They are not; names the line.
    """
    labels = index.labels
    if len(labels) and labels.min() >= 0 and labels.max() < len(labels):
        counts = np.bincount(labels)
        if counts.all():
            return len(counts)
    return check_labels(read_list(index.list_file), index.list_file)


def _joined_labels(table: Sequence[Source], indexes: Sequence[KeyIndex]) -> NDArray[np.int64]:
    """Labels with the offset of their source, (N,); of one source they stay in its index."""
    if len(indexes) == 1:
        return indexes[0].labels
    labels = np.empty(sum(map(len, indexes)), np.int64)
    done = 0
    for row, index in zip(table, indexes, strict=True):
        np.add(index.labels, row.offset, out=labels[done : done + len(index)])
        done += len(index)
    return labels
