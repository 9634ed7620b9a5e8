"""Streaming embeddings are those of the batch at once, and name what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_model

from lfs_ray.config.sections import ModelConfig, RewardConfig
from lfs_ray.data.decode import Pixels
from lfs_ray.errors import DataError, RunError
from lfs_ray.training.embedder import Embedder
from lfs_ray.training.scoring import embed


class Images:
    """Random pictures by position; every colour order is that of the words asked for."""

    def __init__(self, count: int) -> None:
        self.labels = np.arange(count)
        self.pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        return self.pixels[index] if colour == "rgb" else self.pixels[index][..., ::-1]


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_batches_give_what_all_images_give_at_once(
    tmp_path: Path, flip: bool, colour: str
) -> None:
    model = ModelConfig(width=4, embedding_dim=8, input_size_px=32, colour=colour)
    embedder = Embedder(write_model(tmp_path, model), flip=flip, batch_size=3)
    images, told = Images(8), []
    chosen = np.array([7, 0, 2, 2, 5])
    embedded = embedder.embed(images, chosen, progress=lambda *done: told.append(done))
    whole = embed(
        embedder.backbone,
        images.pixels[chosen],
        model,
        RewardConfig(flip=flip),
        embedder.device,
        colour="rgb",
    )
    np.testing.assert_allclose(embedded.unit_ND, whole, atol=1e-6)
    assert told == [(3, 5), (5, 5)]


def test_the_mean_norm_is_over_images_and_views(tmp_path: Path) -> None:
    embedder = Embedder(write_model(tmp_path), flip=True, batch_size=4)
    images = Images(6)
    mirrored = Images(6)
    mirrored.pixels = np.ascontiguousarray(images.pixels[:, :, ::-1])
    plain = Embedder(write_model(tmp_path), flip=False, batch_size=6)
    norms = [np.linalg.norm(plain.embed(one).raw_ND, axis=1) for one in (images, mirrored)]
    assert embedder.embed(images).mean_norm == pytest.approx(np.mean(norms), rel=1e-6)


def test_swapped_channels_are_those_of_swapped_images(tmp_path: Path) -> None:
    embedder = Embedder(write_model(tmp_path))
    images, swapped = Images(3), Images(3)
    swapped.pixels = np.ascontiguousarray(images.pixels[..., ::-1])
    np.testing.assert_array_equal(
        embedder.embed(images, swap_channels=True).raw_ND, embedder.embed(swapped).raw_ND
    )
    assert not np.allclose(embedder.embed(images).raw_ND, embedder.embed(swapped).raw_ND)


def test_no_image_gives_no_row(tmp_path: Path) -> None:
    assert Embedder(write_model(tmp_path)).embed(Images(0)).unit_ND.shape == (0, 8)


def test_weights_that_give_nan_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be finite, found NaN or infinity for image 1"):
        Embedder(write_model(tmp_path, spoil=True)).embed(Images(3), np.array([1, 0]))


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"found none at .*none\.safetensors"):
        Embedder(str(tmp_path / "none.safetensors"))
