"""Ranks of classes, with one centre a class or several, in blocks or at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lfs_ray.models.classifier import CosineClassifier
from lfs_ray.training import classify
from lfs_ray.training.classify import class_ranks


@pytest.mark.parametrize("sub_centers", [1, 3])
@pytest.mark.parametrize("block_scores", [1, 50, 10**6])
def test_a_class_is_ranked_by_its_nearest_centre(
    sub_centers: int, block_scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "_BLOCK_SCORES", block_scores)
    torch.manual_seed(0)
    classifier = CosineClassifier(5, 7, sub_centers)
    embeddings = np.random.default_rng(0).normal(size=(30, 5))
    targets = np.arange(30) % 7
    centres = classifier.weight_CD.detach().numpy().reshape(7, sub_centers, 5)
    unit = centres / np.linalg.norm(centres, axis=2, keepdims=True)
    cosines = np.einsum("nd,ckd->nck", embeddings, unit).max(axis=2)
    expected = [1 + int((row > row[own]).sum()) for row, own in zip(cosines, targets, strict=True)]
    assert class_ranks(classifier, embeddings, targets).tolist() == expected
