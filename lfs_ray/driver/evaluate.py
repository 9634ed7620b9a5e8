"""`lfs-ray evaluate`: score a checkpoint on a pair list."""

from __future__ import annotations

import os

import pandas as pd

from lfs_ray.config.machine import WorkerConfig
from lfs_ray.config.sections import ReportConfig, RewardConfig
from lfs_ray.driver.run_directory import absolute
from lfs_ray.training.device import prepare_process
from lfs_ray.training.material import open_pairs
from lfs_ray.training.model_file import load_backbone, read_model
from lfs_ray.training.scoring import embed, score


def evaluate(
    checkpoint: str, pairs: str, images: str, reward: RewardConfig, *, seed: int = 0
) -> pd.DataFrame:
    """Accuracy of a checkpoint on a pair list, one row.

    Args:
        checkpoint: a checkpoint or model.safetensors of a run.
        pairs: pair list.
        images: folder or packed set with its images; empty: the list's own folder.
        reward: rule, flip and batch size.
        seed: of the bootstrap.

    Raises:
        LfsRayError: a file is missing or unreadable.
    """
    backbone, model = load_backbone(read_model(checkpoint), name=checkpoint)
    place = images or os.path.dirname(absolute(pairs))
    pair_set = open_pairs(ReportConfig(images=place, pairs=pairs), model)
    device = prepare_process(WorkerConfig())
    embeddings_KD = embed(backbone.to(device), pair_set.images_KHWC, model, reward, device)
    result = score(embeddings_KD, pair_set.pairs, reward, seed=seed)
    row = {
        "pairs": len(pair_set.pairs.same),
        "rule": reward.rule,
        "flip": "sum" if reward.flip else "none",
        "accuracy": result.accuracy,
        "standard_error": result.standard_error,
        "fold_std": result.verification.std,
    }
    return pd.DataFrame([row])
