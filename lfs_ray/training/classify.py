"""Images of the training classes, classified: the rank of each one's own class.

Embeddings of held-out images and a classifier's centres -> here -> ranks -> top-1, top-5. Scores
are cosines to the centres (to the nearest of several), whatever the loss adds to them in training.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from lfs_ray.evaluation.classification import target_ranks
from lfs_ray.models.classifier import CosineClassifier

_BLOCK_SCORES = 16_000_000
"""Cosines at a time: 64 MB in fp32."""


def class_ranks(
    classifier: CosineClassifier,
    embeddings_ND: npt.NDArray[np.float64],
    target_N: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Rank of each image's class by its cosine, from 1, (N,)."""
    weight_CD = classifier.weight_CD
    step = max(_BLOCK_SCORES // len(weight_CD), 1)
    ranks = []
    with torch.inference_mode():
        for start in range(0, len(target_N), step):
            rows = slice(start, start + step)
            block_BD = torch.from_numpy(embeddings_ND[rows]).to(weight_CD.device, weight_CD.dtype)
            ranks.append(target_ranks(classifier(block_BD).cpu().numpy(), target_N[rows]))
    return np.concatenate(ranks)
