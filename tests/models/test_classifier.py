from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from lfs_ray.models.classifier import SMALLEST_NORM, CosineClassifier


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


@pytest.mark.parametrize("lengths", [False, True])
def test_gradient_of_many_centres_of_any_length_is_that_of_normalised_ones(lengths: bool) -> None:
    classifier = _classifier(3, 9000).double()  # more than are gone over at a time
    classifier.weight_CD.data *= 10.0 ** torch.linspace(-6, 6, 9000)[:, None]
    classifier.weight_CD.data[4] = 0.0
    x_BD = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    normalised_CD = functional.normalize(classifier.weight_CD, eps=SMALLEST_NORM)
    plain_BC = functional.normalize(x_BD) @ normalised_CD.T
    leaves, grad_BC = (x_BD, classifier.weight_CD), torch.randn(2, 9000, dtype=torch.float64)
    grads = grad_BC, grad_BC[0] if lengths else torch.zeros_like(grad_BC[0])
    plain_C = classifier.weight_CD.norm(dim=1)
    expected = torch.autograd.grad((plain_BC, plain_C), leaves, grads)
    cos_BC, length_C = classifier.with_lengths(x_BD)
    torch.testing.assert_close(length_C, plain_C)
    found = torch.autograd.grad(
        (cos_BC, length_C) if lengths else cos_BC, leaves, grads if lengths else grad_BC
    )
    torch.testing.assert_close(found[0], expected[0])
    scale_C1 = expected[1].abs().amax(dim=1, keepdim=True)
    torch.testing.assert_close(found[1] / scale_C1, expected[1] / scale_C1)
    assert (classifier.weight_CD.norm(dim=1) < SMALLEST_NORM).sum() > 100


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


@pytest.mark.parametrize("sub_centers", [2, 3])
def test_sub_centers_by_loops(sub_centers: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = CosineClassifier(5, 4, sub_centers)
        plain = CosineClassifier(5, 4 * sub_centers)
    assert classifier.weight_CD.shape == (4 * sub_centers, 5)
    plain.load_state_dict(classifier.state_dict())
    x_BD = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    cos_BC, every = classifier(x_BD), plain(x_BD)
    assert cos_BC.shape == (3, 4)
    for i in range(3):
        for c in range(4):
            rows = [every[i, c * sub_centers + k].item() for k in range(sub_centers)]
            assert cos_BC[i, c].item() == max(rows)


def test_only_the_nearest_sub_center_has_a_gradient() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = CosineClassifier(5, 4, 3).double()
    x_BD = torch.randn(1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    classifier(x_BD).sum().backward()
    assert classifier.weight_CD.grad is not None
    moved = classifier.weight_CD.grad.norm(dim=1).view(4, 3) > 0.0
    assert moved.sum(dim=1).tolist() == [1, 1, 1, 1]
    x_BD.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, _: classifier(x), (x_BD, classifier.weight_CD))


def test_one_sub_center_is_the_plain_classifier() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        one = CosineClassifier(5, 4, 1)
    x_BD = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one(x_BD), _classifier()(x_BD))


# ---- sub-centres


def test_a_class_has_the_cosine_of_its_nearest_sub_centre() -> None:
    whole = CosineClassifier(5, 12)
    classifier = CosineClassifier(5, 4, sub_centers=3)
    classifier.weight_CD.data.copy_(whole.weight_CD)
    x_BD = torch.randn(6, 5)
    cos_BC, cos_BCK = classifier(x_BD), whole(x_BD)
    assert cos_BC.shape == (6, 4)
    for i in range(6):
        for c in range(4):
            assert cos_BC[i, c] == max(cos_BCK[i, 3 * c + k] for k in range(3))


def test_only_the_nearest_sub_centre_has_a_gradient() -> None:
    classifier = CosineClassifier(2, 2, sub_centers=2)
    classifier.weight_CD.data.copy_(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    )
    classifier(torch.tensor([[1.0, 3.0]]))[0].backward(torch.tensor([1.0, 1.0]))
    assert classifier.weight_CD.grad is not None
    # Nearest to (1, 3) are (0, 1) of class 0 and (-1, 0) of class 1.
    assert classifier.weight_CD.grad.abs().sum(dim=1).gt(0).tolist() == [False, True, True, False]


def test_the_gradient_through_sub_centres() -> None:
    classifier = CosineClassifier(5, 4, sub_centers=3).double()
    x_BD = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, _: classifier(x), (x_BD, classifier.weight_CD))


def test_one_sub_centre_is_the_plain_classifier() -> None:
    torch.manual_seed(0)
    one = CosineClassifier(5, 4, sub_centers=1)
    x_BD = torch.randn(3, 5)
    assert torch.equal(one.weight_CD, _classifier().weight_CD)
    assert torch.equal(one(x_BD), _classifier()(x_BD))
