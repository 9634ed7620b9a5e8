"""Embeddings to a trial's loss: what it asks for reaches it, in fp32 whatever the autocast."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lfs_ray.config.sections import LossConfig, SearchConfig
from lfs_ray.execution.blueprint import build_searcher
from lfs_ray.losses.catalogue import LOSSES, build_loss
from lfs_ray.losses.contract import ClassifierLoss, Seen
from lfs_ray.losses.spec import HeadSize
from lfs_ray.models.classifier import CosineClassifier
from lfs_ray.training.head import head_loss

NUM_CLASSES, DIM, BATCH = 6, 8, 5
SIZE = HeadSize(num_classes=NUM_CLASSES, embedding_dim=DIM, epoch_images=10, batch_size=BATCH)
LABELS_B = torch.tensor([0, 5, 2, 2, 1])


class Witness(ClassifierLoss):
    """NormFace that keeps what it was given."""

    def per_sample(self, cos_BC: Tensor, labels_B: Tensor, seen: Seen | None = None) -> Tensor:
        self.cos_BC, self.seen = cos_BC, seen
        return super().per_sample(cos_BC, labels_B, seen)


def _needing(*names: str) -> Witness:
    class Needing(Witness):
        needs: ClassVar[frozenset[str]] = frozenset(names)

    return Needing(16.0)


def _classifier(sub_centers: int = 1) -> CosineClassifier:
    torch.manual_seed(0)
    classifier = CosineClassifier(DIM, NUM_CLASSES, sub_centers)
    classifier.weight_CD.data *= 50.0 + torch.arange(NUM_CLASSES * sub_centers)[:, None]
    return classifier


def _embeddings(dtype: torch.dtype = torch.float32) -> Tensor:
    torch.manual_seed(1)
    return (3.0 * torch.randn(BATCH, DIM)).to(dtype).requires_grad_()


def test_the_loss_is_that_of_the_classifier_s_cosines() -> None:
    classifier, embedding_BD = _classifier(), _embeddings()
    cos_BC = functional.normalize(embedding_BD) @ functional.normalize(classifier.weight_CD).T
    expected = functional.cross_entropy(16.0 * cos_BC, LABELS_B)
    found = head_loss(classifier, build_loss("normface", scale=16.0), embedding_BD, LABELS_B)
    torch.testing.assert_close(found, expected)


def test_a_loss_that_needs_nothing_is_given_labels_alone() -> None:
    loss = _needing()
    head_loss(_classifier(), loss, _embeddings(), LABELS_B)
    assert loss.seen == Seen(LABELS_B)


NEEDED: dict[str, Any] = {
    "norms": lambda seen, x_BD, w_CD: (seen.norms_B, x_BD.norm(dim=1)),
    "weight_norms": lambda seen, x_BD, w_CD: (seen.weight_norms_C, w_CD.norm(dim=1)),
    "embeddings": lambda seen, x_BD, w_CD: (seen.embedding_BD, x_BD),
}


@pytest.mark.parametrize("need", NEEDED)
def test_what_a_loss_needs_reaches_it_with_its_gradient(need: str) -> None:
    classifier, embedding_BD, loss = _classifier(), _embeddings(), _needing(need)
    head_loss(classifier, loss, embedding_BD, LABELS_B)
    found, expected = NEEDED[need](loss.seen, embedding_BD, classifier.weight_CD)
    assert torch.equal(found, expected)
    assert found.requires_grad
    given = (loss.seen.norms_B, loss.seen.weight_norms_C, loss.seen.embedding_BD)
    assert sum(one is not None for one in given) == 1


def test_no_catalogue_loss_needs_what_is_not_known_here() -> None:
    asked = {need for spec in LOSSES.values() for need in spec.loss.needs}
    assert asked <= NEEDED.keys()


def _start(name: str) -> tuple[float, ...]:
    """The theta that a search of the loss starts at; empty for a hand-made one."""
    searcher = build_searcher(SearchConfig(), LossConfig(name=name))
    mean_1D = np.array([searcher.initial_state().mean])
    return tuple(searcher.space.project(mean_1D)[0].tolist())


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_does_not_reach_the_loss(name: str, dtype: torch.dtype) -> None:
    def value(half: bool) -> Tensor:
        torch.manual_seed(2)
        loss = build_loss(name, theta=_start(name), size=SIZE)
        classifier = _classifier(loss.sub_centers)
        embedding_BD = _embeddings(dtype)
        if not half:
            return head_loss(classifier, loss, embedding_BD.float(), LABELS_B)
        with torch.autocast("cpu", dtype=dtype):
            return head_loss(classifier, loss, embedding_BD, LABELS_B)

    found = value(half=True)
    assert found.shape == ()
    assert found.dtype == torch.float32
    assert torch.equal(found, value(half=False))
    gradient = torch.autograd.grad(found, found)[0]
    assert gradient.dtype == torch.float32


def test_the_gradient_comes_back_in_the_embeddings_own_dtype() -> None:
    embedding_BD, classifier = _embeddings(torch.bfloat16), _classifier()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        head_loss(classifier, build_loss("normface"), embedding_BD, LABELS_B).backward()
    assert embedding_BD.grad is not None
    assert embedding_BD.grad.dtype == torch.bfloat16
    assert embedding_BD.grad.ne(0).any()
    assert classifier.weight_CD.grad is not None
    assert classifier.weight_CD.grad.dtype == torch.float32


def test_float64_stays() -> None:
    loss = build_loss("arcface")
    value = head_loss(_classifier().double(), loss, _embeddings(torch.float64), LABELS_B)
    assert value.dtype == torch.float64


def test_a_loss_of_sub_centres_sees_the_nearest_of_each_class() -> None:
    loss = Witness(16.0)
    loss.sub_centers = 3
    classifier = _classifier(sub_centers=3)
    value = head_loss(classifier, loss, _embeddings(), LABELS_B)
    assert loss.cos_BC.shape == (BATCH, NUM_CLASSES)
    all_BK = functional.normalize(_embeddings()) @ functional.normalize(classifier.weight_CD).T
    nearest_BC = all_BK.reshape(BATCH, NUM_CLASSES, 3).max(dim=2).values
    torch.testing.assert_close(value, functional.cross_entropy(16.0 * nearest_BC, LABELS_B))
