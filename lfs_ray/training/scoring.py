"""Score a backbone on image pairs: embed every image once, then verification by a named rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lfs_ray.config.sections import ModelConfig, RewardConfig
from lfs_ray.data.pairs import Pairs
from lfs_ray.evaluation.bootstrap import identity_bootstrap_se
from lfs_ray.evaluation.embedding import combine_views
from lfs_ray.evaluation.verification import Verification, verify
from lfs_ray.training.device import autocast
from lfs_ray.training.steps import to_pixels


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy with its identity-bootstrap standard error."""

    accuracy: float
    standard_error: float
    verification: Verification


def embed(
    backbone: nn.Module,
    images_KHWC: npt.NDArray[np.uint8],
    model: ModelConfig,
    reward: RewardConfig,
    device: torch.device,
    *,
    precision: str = "fp32",
    colour: str | None = None,
) -> npt.NDArray[np.float64]:
    """Unit embeddings (K, D) of images (K, H, W, 3); images and mirrors are summed with `flip`.

    `colour` is the images' own channel order, turned into the model's; None: the model's.
    """
    views: list[list[npt.NDArray[np.float32]]] = []
    for start in range(0, len(images_KHWC), reward.batch_size):
        batch_BHWC = images_KHWC[start : start + reward.batch_size]
        if colour not in (None, model.colour):
            batch_BHWC = np.ascontiguousarray(batch_BHWC[..., ::-1])
        views.append(
            views_of(backbone, batch_BHWC, model, device, flip=reward.flip, precision=precision)
        )
    embedded = [np.concatenate(view) for view in zip(*views, strict=True)]
    return combine_views(*embedded, flip="sum" if reward.flip else "none")


def views_of(
    backbone: nn.Module,
    images_BHWC: npt.NDArray[np.uint8],
    model: ModelConfig,
    device: torch.device,
    *,
    flip: bool,
    precision: str = "fp32",
) -> list[npt.NDArray[np.float32]]:
    """Raw embeddings (B, D) of a batch in the model's colour order; then those of the mirrors."""
    backbone.eval()
    with torch.inference_mode(), autocast(device, precision):
        pixels_BCHW = to_pixels(torch.from_numpy(images_BHWC), model, device)
        views = [pixels_BCHW, pixels_BCHW.flip(3)] if flip else [pixels_BCHW]
        return [backbone(view).float().cpu().numpy() for view in views]


def score(
    embeddings_KD: npt.NDArray[np.float64], pairs: Pairs, reward: RewardConfig, *, seed: int
) -> Score:
    """Verification accuracy of embedded images on their pairs.

    Raises:
        DataError: an embedding is not finite, or a fold holds one class only.
    """
    result = verify(
        embeddings_KD[pairs.first],
        embeddings_KD[pairs.second],
        pairs.same,
        pairs.fold,
        rule=reward.rule,
        flip="sum" if reward.flip else "none",
    )
    error = identity_bootstrap_se(
        result.correct_P,
        pairs.identity[pairs.first],
        pairs.identity[pairs.second],
        samples=reward.bootstrap_samples,
        seed=seed,
    )
    return Score(result.accuracy, error, result)
