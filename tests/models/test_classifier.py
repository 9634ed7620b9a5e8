from __future__ import annotations

import math

import pytest
import torch

from lfs_ray.models.classifier import CosineClassifier


def _classifier(embedding_dim: int = 5, num_classes: int = 4) -> CosineClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CosineClassifier(embedding_dim, num_classes)


def test_cosines_by_loops() -> None:
    classifier = _classifier()
    x_BD = torch.arange(10.0).reshape(2, 5) - 4.0
    cos_BC = classifier(x_BD)
    for i in range(2):
        for j in range(4):
            x, w = x_BD[i].tolist(), classifier.weight_CD[j].tolist()
            dot = sum(a * b for a, b in zip(x, w, strict=True))
            expected = dot / math.hypot(*x) / math.hypot(*w)
            assert cos_BC[i, j].item() == pytest.approx(expected, abs=1e-6)


def test_lengths_do_not_matter() -> None:
    classifier = _classifier()
    x_BD = torch.randn(3, 5)
    before = classifier(x_BD)
    classifier.weight_CD.data *= torch.tensor([[0.1], [1.0], [10.0], [1000.0]])
    torch.testing.assert_close(classifier(20_000.0 * x_BD), before)


def test_gradient() -> None:
    classifier = _classifier().double()
    x_BD = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, _: classifier(x), (x_BD, classifier.weight_CD))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_half_embeddings_do_not_coarsen_the_cosine(dtype: torch.dtype) -> None:
    classifier = _classifier(64, 4)
    x_BD = torch.randn(3, 64).to(dtype)
    expected = classifier(x_BD.float())
    with torch.autocast("cpu", dtype=dtype):
        found = classifier(x_BD)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_float64_stays() -> None:
    assert _classifier()(torch.randn(2, 5, dtype=torch.float64)).dtype == torch.float64


def test_a_zero_embedding_gives_zero_and_finite_gradients() -> None:
    classifier = _classifier()
    x_BD = torch.zeros(1, 5, requires_grad=True)
    cos_BC = classifier(x_BD)
    cos_BC.sum().backward()
    assert torch.equal(cos_BC, torch.zeros(1, 4))
    assert x_BD.grad is not None
    assert x_BD.grad.isfinite().all()


def test_initial_centres() -> None:
    classifier = _classifier(200, 500)
    assert classifier.weight_CD.std().item() == pytest.approx(0.01, rel=0.02)
    assert torch.equal(classifier.weight_CD, _classifier(200, 500).weight_CD)
