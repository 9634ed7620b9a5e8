"""Embeddings of a whole set, however large: in a file, or summed up by class.

Images of a set -> a trained backbone -> here -> what `data doctor`, `data overlap` and `data
noise` ask of a model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.class_centres import Centres, class_centres
from lfs_ray.data.disk_room import reserve_room
from lfs_ray.training.embedder import Embedder, Progress

_BLOCK = 1 << 14


def embed_to_file(
    embedder: Embedder,
    images: LabelledImages,
    indices: npt.NDArray[np.int64],
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """Unit embeddings (N, D) of the images at `indices`, in a file without a name.

    Raises:
        DataError: an image is undecodable, an embedding not finite, or the disk full.
    """
    shape = (max(len(indices), 1), embedder.model.embedding_dim)
    with tempfile.TemporaryFile() as file:
        unit_ND = np.memmap(file, np.float32, "w+", shape=shape)
        reserve_room(file.fileno(), unit_ND.nbytes, tempfile.gettempdir())
    for start, block_BD in _blocks(embedder, images, indices, progress):
        unit_ND[start : start + len(block_BD)] = block_BD
    return unit_ND[: len(indices)]


def embed_centres(
    embedder: Embedder,
    images: LabelledImages,
    indices: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    progress: Progress | None = None,
) -> Centres:
    """Centres of the classes of the images at `indices`; their embeddings are not kept.

    Args:
        embedder: the model.
        images: where the images come from.
        indices: which ones, (N,).
        labels: class of each, (N,), 0 or more.
        progress: told after every batch.
    """
    classes, rows, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums_CD = np.zeros((len(classes), embedder.model.embedding_dim))
    for start, block_BD in _blocks(embedder, images, indices, progress):
        part = class_centres(block_BD, rows[start : start + len(block_BD)].astype(np.int64))
        sums_CD[part.labels] += part.sums_CD
    return Centres(classes, sums_CD, counts)


def _blocks(
    embedder: Embedder,
    images: LabelledImages,
    indices: npt.NDArray[np.int64],
    progress: Progress | None,
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Start and unit embeddings of one block after the other."""
    for start in range(0, len(indices), _BLOCK):

        def told(done: int, _: int, start: int = start) -> None:
            if progress:
                progress(start + done, len(indices))

        part = indices[start : start + _BLOCK]
        yield start, embedder.embed(images, part, progress=told).unit_ND
