"""Where embeddings come from: a checkpoint that makes them, or a directory that holds them.

    embeddings.npy    (N, D) raw embeddings of the images, float
    mirrored.npy      (N, D) of their mirrors; there or not
    keys.txt          key of each row, one a line, UTF-8

`lfs-ray embed` writes such a directory; any other tool may.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lfs_ray.data.disk_room import reserve_room
from lfs_ray.data.store import ImageStore, NamedImages
from lfs_ray.data.writer import whole_directory
from lfs_ray.errors import DataError
from lfs_ray.evaluation.embedding import unit_rows
from lfs_ray.evaluation.matrix_blocks import BlockedRows
from lfs_ray.training.embedder import Embedder, Progress

Floats = npt.NDArray[np.float64]

_BLOCK = 4096
EMBEDDINGS_NAME, MIRRORED_NAME, KEYS_NAME = "embeddings.npy", "mirrored.npy", "keys.txt"


class Embeddings(Protocol):
    """Raw embeddings of images by key."""

    @property
    def name(self) -> str:
        """What they come from."""

    @property
    def flip(self) -> str:
        """Combination of views: `sum` with the mirror's embedding added, else `none`."""

    def raw(
        self, store: ImageStore | None, keys: Sequence[str], progress: Progress | None = None
    ) -> Floats:
        """Raw embeddings (K, D) of the images `keys`, which `store` holds."""


class CheckpointEmbeddings:
    """Embeddings made by a checkpoint's backbone."""

    def __init__(self, checkpoint: str, *, flip: bool, threads: int = 1) -> None:
        self.name = checkpoint
        self.flip = "sum" if flip else "none"
        self.embedder = Embedder(checkpoint, flip=flip, threads=threads)

    def raw(
        self, store: ImageStore | None, keys: Sequence[str], progress: Progress | None = None
    ) -> Floats:
        """Embed the images.

        Raises:
            DataError: there is no store, or an image is missing or undecodable.
        """
        if store is None:
            raise DataError(
                "a checkpoint needs the images of the set, found none: give --images DIR"
            )
        return self.embedder.embed(NamedImages(store, keys), progress=progress).raw_ND


class StoredEmbeddings:
    """Embeddings of a directory; rows are read when they are asked for.

    Raises:
        DataError: a file is missing, or keys and rows don't fit.
    """

    def __init__(self, folder: str, *, flip: bool) -> None:
        self.name = folder
        views = [_matrix(Path(folder, EMBEDDINGS_NAME))]
        if flip and Path(folder, MIRRORED_NAME).is_file():
            views.append(_matrix(Path(folder, MIRRORED_NAME)))
        self.flip = "sum" if len(views) > 1 else "none"
        self._views = views
        keys = _read_keys(Path(folder, KEYS_NAME))
        self._row_of_key = {key: row for row, key in enumerate(keys)}
        _check_rows(folder, keys, self._row_of_key, views)

    def raw(
        self, store: ImageStore | None, keys: Sequence[str], progress: Progress | None = None
    ) -> Floats:
        """The rows of `keys`.

        Raises:
            DataError: a key has no row; a row is not finite or all zeros.
        """
        missing = [key for key in keys if key not in self._row_of_key]
        if missing:
            raise DataError(
                f"{self.name} must hold an embedding of every image, {len(missing)} of "
                f'{len(keys)} are missing, the first is "{missing[0]}"'
            )
        rows = np.array([self._row_of_key[key] for key in keys], np.int64)
        raw_KD = np.zeros((len(rows), self._views[0].shape[1]))
        for view in self._views:
            raw_KD += view[rows]
        _check_usable(raw_KD, keys, self.name)
        if progress:
            progress(len(keys), len(keys))
        return raw_KD


def unit_blocks(
    embeddings: Embeddings,
    store: ImageStore | None,
    keys: Sequence[str],
    progress: Progress | None = None,
) -> BlockedRows:
    """Unit embeddings of many images, float32, a block of images at a time."""

    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        for start in range(0, len(keys), _BLOCK):
            raw_BD = embeddings.raw(store, keys[start : start + _BLOCK])
            yield unit_rows(raw_BD).astype(np.float32)
            if progress:
                progress(min(start + _BLOCK, len(keys)), len(keys))

    return BlockedRows(len(keys), blocks)


def save_embeddings(
    checkpoint: str,
    store: ImageStore,
    dst: str,
    *,
    flip: bool,
    threads: int = 1,
    progress: Progress | None = None,
) -> int:
    """Embed all images of a store into the new directory `dst`; how many.

    Raises:
        DataError: `dst` exists, there is no image, one is undecodable, or the disk is full.
        RunError: the checkpoint is missing or none.
    """
    embedder = Embedder(checkpoint, flip=flip, threads=threads)
    keys = list(store.keys())
    if not keys:
        raise DataError(f"{store.path} must hold images, it is empty")
    shape = (len(keys), embedder.model.embedding_dim)
    with whole_directory(dst) as folder:
        names = (EMBEDDINGS_NAME, MIRRORED_NAME) if flip else (EMBEDDINGS_NAME,)
        files = [_new_matrix(folder / name, shape, dst) for name in names]
        done = 0
        for views in embedder.views(NamedImages(store, keys), np.arange(len(keys))):
            for file, view in zip(files, views, strict=True):
                file[done : done + len(view)] = view
            done += len(views[0])
            if progress:
                progress(done, len(keys))
        for file in files:
            file.flush()
        (folder / KEYS_NAME).write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    return done


def open_embeddings(place: str, *, flip: bool, threads: int = 1) -> Embeddings:
    """A directory with `embeddings.npy`, else a checkpoint.

    Raises:
        RunError: the checkpoint is missing or none.
        DataError: the directory's files don't fit.
    """
    if os.path.isfile(os.path.join(place, EMBEDDINGS_NAME)):
        return StoredEmbeddings(place, flip=flip)
    return CheckpointEmbeddings(place, flip=flip, threads=threads)


def _new_matrix(path: Path, shape: tuple[int, int], dst: str) -> np.memmap[Any, Any]:
    """A .npy file to be filled, with room for all of it."""
    rows_ND = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with path.open("r+b") as file:
        reserve_room(file.fileno(), path.stat().st_size, dst)
    return rows_ND


def _matrix(path: Path) -> npt.NDArray[np.floating]:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        why = "it is cut off or no .npy file" if isinstance(error, ValueError) else str(error)
        raise DataError(f"{path} must be a whole .npy file of floats: {why}") from None
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
        raise DataError(
            f"{path} must hold floats (images, dimensions), found {rows.dtype} {rows.shape}"
        )
    return np.asarray(rows) if rows.size == 0 else rows


def _read_keys(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must list the key of each row in UTF-8 ({error})") from None


def _check_rows(
    folder: str,
    keys: Sequence[str],
    row_of_key: dict[str, int],
    views: Sequence[npt.NDArray[np.floating]],
) -> None:
    shapes = {view.shape for view in views}
    if shapes != {(len(keys), views[0].shape[1])}:
        raise DataError(
            f"{folder} must hold one row a key, found {len(keys)} keys and "
            f"{' and '.join(str(shape) for shape in sorted(shapes))} numbers"
        )
    if len(row_of_key) != len(keys):
        twice = next(key for row, key in enumerate(keys) if row_of_key[key] != row)
        raise DataError(f'{folder}/{KEYS_NAME} must name each image once, "{twice}" comes twice')


def _check_usable(raw_KD: Floats, keys: Sequence[str], name: str) -> None:
    # NaN and infinity make a product that is none; zeros make zero.
    square_K = np.einsum("kd,kd->k", raw_KD, raw_KD)
    bad = np.flatnonzero(~np.isfinite(square_K) | (square_K == 0))
    if bad.size:
        what = "all zeros" if square_K[bad[0]] == 0 else "NaN or infinity"
        raise DataError(
            f'embeddings must be finite and not zero, {name} has {what} for "{keys[bad[0]]}" '
            f"({bad.size} such rows): embed these images again, or leave them out"
        )
