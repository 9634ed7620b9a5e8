"""Images of the training classes, classified: the rank of each one's own class.

Embeddings of held-out images and a classifier's centres -> here -> ranks -> top-1, top-5. Scores
are cosines to the centres (to the nearest of several), whatever the loss adds to them in training.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from lfs_ray.errors import DataError, RunError
from lfs_ray.evaluation.classification import target_ranks
from lfs_ray.models.classifier import CosineClassifier
from lfs_ray.training.checkpoint import decode
from lfs_ray.training.model_file import read_model

_WEIGHT = "classifier.weight_CD"
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


def classifier_ranks(
    checkpoint: str,
    embeddings_ND: npt.NDArray[np.float64],
    target_N: npt.NDArray[np.int64],
    *,
    num_classes: int,
) -> npt.NDArray[np.int64]:
    """Rank of each image's class by the classifier of a checkpoint, from 1, (N,).

    Raises:
        RunError: the file is no checkpoint, or a model file, which has no classifier.
        DataError: the classifier has another number of classes.
    """
    arrays, facts = decode(read_model(checkpoint), name=checkpoint)
    weight_CD = arrays.get(_WEIGHT)
    if weight_CD is None:
        raise RunError(
            f"classification needs a checkpoint with its classifier, found none in {checkpoint}: "
            f"give a file of a run's checkpoints folder"
        )
    sub_centers = int(str(facts.get("sub_centers", 1)))
    known = len(weight_CD) // sub_centers
    if num_classes != known:
        raise DataError(
            f"the set must have the {known} classes that {checkpoint} was trained on, found "
            f"{num_classes}: give that set (identities held out for the reward are none of them)"
        )
    classifier = CosineClassifier(weight_CD.shape[1], num_classes, sub_centers)
    with torch.no_grad():
        classifier.weight_CD.copy_(torch.from_numpy(weight_CD.copy()))
    return class_ranks(classifier, embeddings_ND, target_N)
