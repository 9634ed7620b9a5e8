"""Score a backbone on image pairs: embed every image once, then measure the reward's metric."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lfs_ray.config.sections import Config, ModelConfig, RewardConfig
from lfs_ray.data.pairs import Pairs
from lfs_ray.evaluation.embedding import combine_views
from lfs_ray.evaluation.evidence import Evidence
from lfs_ray.evaluation.metrics import Metric, parse_metric, standard_error
from lfs_ray.evaluation.verification import Verification, verify
from lfs_ray.training.device import autocast
from lfs_ray.training.steps import to_pixels

_ACCURACY = re.compile(r"(^|[*+])\s*accuracy(?=\s*($|\+))")


@dataclass(frozen=True, slots=True)
class Score:
    """What an evaluation gave."""

    reward: float
    """Value of the reward's metric; larger is better."""
    reward_se: float
    """Its standard error, by resampling identities."""
    verification: Verification
    """The 10-fold accuracy by the reward's rule, and every pair's score and decision."""


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
    embeddings_KD: npt.NDArray[np.float64],
    pairs: Pairs,
    reward: RewardConfig,
    *,
    seed: int,
    class_rank_K: npt.NDArray[np.int64] | None = None,
) -> Score:
    """The reward's metric on embedded images and their pairs.

    Args:
        embeddings_KD: unit rows.
        pairs: pairs among the images.
        reward: metric and rule.
        seed: of the bootstrap.
        class_rank_K: rank of each image's class among the classifier's, for `top1` and its like.

    Raises:
        DataError: an embedding is not finite, or a fold holds one class only.
    """
    flip = "sum" if reward.flip else "none"
    first_PD, second_PD = embeddings_KD[pairs.first], embeddings_KD[pairs.second]
    result = verify(first_PD, second_PD, pairs.same, pairs.fold, rule=reward.rule, flip=flip)
    evidence = evidence_of(embeddings_KD, pairs, flip, class_rank_K)
    measured = metric_of(reward).measure(evidence)
    error = standard_error(measured, samples=reward.bootstrap_samples, seed=seed)
    return Score(measured.value, error, result)


def evidence_of(
    embeddings_KD: npt.NDArray[np.float64],
    pairs: Pairs,
    flip: str,
    class_rank_K: npt.NDArray[np.int64] | None = None,
) -> Evidence:
    """What metrics are measured on."""
    return Evidence(
        embeddings_ND=embeddings_KD,
        identity_N=pairs.identity,
        first_P=pairs.first,
        second_P=pairs.second,
        same_P=pairs.same,
        fold_P=pairs.fold,
        class_rank_N=class_rank_K,
        flip=flip,
    )


def metric_of(reward: RewardConfig) -> Metric:
    """The reward's metric; a bare `accuracy` is by the reward's rule."""
    return parse_metric(_ACCURACY.sub(rf"\1accuracy@rule={reward.rule}", reward.metric))


def metric_mistakes(config: Config) -> list[str]:
    """What is wrong with the metrics of reward and report sets, one line each."""
    named = [("reward.metric", config.reward.metric)] + [
        (f"report.{name}.metrics", text)
        for name, report in config.report.items()
        for text in report.metrics
    ]
    mistakes = []
    for key, text in named:
        try:
            needs = parse_metric(text).needs
        except ValueError as error:
            mistakes.append(f"{key} must name what is measured, got {text!r}: {error}")
            continue
        if "class ranks" in needs and key != "reward.metric":
            mistakes.append(
                f"{key} must be of pairs or images, got {text!r}, which classifies images of the "
                f"training classes: leave it out"
            )
        elif "class ranks" in needs and config.data.validation_split != "images":
            mistakes.append(
                f"reward.metric {text!r} must have held-out images of the training classes, got "
                f'data.validation_split = "identities": set it to "images"'
            )
    return mistakes
