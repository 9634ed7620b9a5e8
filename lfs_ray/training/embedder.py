"""Images of any number through a trained backbone: embeddings, batch after batch.

Images of a store -> here -> embeddings (N, D) -> the protocols of `evaluation`, or the search for
mislabelled and shared identities. Only one batch of pixels is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from lfs_ray.config.machine import WorkerConfig
from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.loader import batches
from lfs_ray.errors import DataError
from lfs_ray.evaluation.embedding import unit_rows
from lfs_ray.training.device import prepare_process
from lfs_ray.training.model_file import load_backbone, read_model
from lfs_ray.training.scoring import views_of

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Raw embeddings of images: the views summed, not normalised."""

    raw_ND: npt.NDArray[np.float64]
    """Backbone output of the image, plus that of its mirror with a flip test, (N, D)."""
    mean_norm: float
    """Mean length of the backbone's outputs over all images and views ("XNorm")."""

    @property
    def unit_ND(self) -> npt.NDArray[np.float64]:
        """Rows of length 1, (N, D); a zero row stays zero."""
        return unit_rows(self.raw_ND)


class Embedder:
    """A trained backbone, ready to embed images on this process's device.

    Args:
        checkpoint: a checkpoint or model.safetensors of a run, a path or URI.
        flip: whether an image's mirror is embedded, too, and added.
        batch_size: images at once.
        threads: decoding threads.

    Raises:
        RunError: the file is missing or no checkpoint.
    """

    def __init__(
        self, checkpoint: str, *, flip: bool = True, batch_size: int = 128, threads: int = 1
    ) -> None:
        backbone, self.model = load_backbone(read_model(checkpoint), name=checkpoint)
        self.device = prepare_process(WorkerConfig())
        self.backbone: nn.Module = backbone.to(self.device)
        self.flip = flip
        self.batch_size = batch_size
        self.threads = threads

    def embed(
        self,
        images: LabelledImages,
        indices: npt.NDArray[np.int64] | None = None,
        *,
        progress: Progress | None = None,
        swap_channels: bool = False,
    ) -> Embedded:
        """Embeddings of the images at `indices` (None: all), in that order.

        Args:
            images: where they come from; brought to the model's size and colour order.
            indices: positions in `images`, (N,).
            progress: told after every batch.
            swap_channels: feed red for blue, to see whether a set's channels are swapped.

        Raises:
            DataError: an image is missing or undecodable, or an embedding not finite.
        """
        chosen = np.arange(len(images.labels)) if indices is None else indices
        raw_ND = np.empty((len(chosen), self.model.embedding_dim), np.float64)
        norms, done = 0.0, 0
        for views in self.views(images, chosen, swap_channels=swap_channels):
            norms += sum(float(np.linalg.norm(view, axis=1).sum()) for view in views) / len(views)
            raw_ND[done : done + len(views[0])] = sum(view.astype(np.float64) for view in views)
            done += len(views[0])
            if progress:
                progress(done, len(chosen))
        return Embedded(raw_ND, norms / max(done, 1))

    def views(
        self,
        images: LabelledImages,
        indices: npt.NDArray[np.int64],
        *,
        swap_channels: bool = False,
    ) -> Iterator[list[npt.NDArray[np.float32]]]:
        """Backbone outputs (B, D) batch after batch: of the images, then with flip of the mirrors.

        Raises:
            DataError: as `embed`.
        """
        done = 0
        for pixels_BHWC in self._pixels(images, indices, swap_channels):
            views = views_of(self.backbone, pixels_BHWC, self.model, self.device, flip=self.flip)
            _check_finite(views, indices[done : done + len(pixels_BHWC)])
            done += len(pixels_BHWC)
            yield views

    def _pixels(
        self, images: LabelledImages, indices: npt.NDArray[np.int64], swap: bool
    ) -> Iterator[npt.NDArray[np.uint8]]:
        colour = self.model.colour
        parts = batches(
            images,
            indices,
            np.zeros(len(indices), np.bool_),
            batch_size=self.batch_size,
            size_px=self.model.input_size_px,
            colour={"rgb": "bgr", "bgr": "rgb"}[colour] if swap else colour,
            threads=self.threads,
        )
        return (batch.images_BHWC for batch in parts)


def _check_finite(views: list[npt.NDArray[np.float32]], indices_B: npt.NDArray[np.int64]) -> None:
    bad = np.flatnonzero(~np.isfinite(np.stack(views)).all(axis=(0, 2)))
    if bad.size:
        raise DataError(
            f"embeddings must be finite, found NaN or infinity for image {indices_B[bad[0]]}: "
            f"check the checkpoint's weights"
        )
