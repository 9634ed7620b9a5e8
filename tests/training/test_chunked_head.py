"""Classifier and loss over chunks of classes: the dense numbers, without a (B, C) matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from examples import EXAMPLES
from heads import make
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lfs_ray.errors import ConfigError
from lfs_ray.losses.catalogue import LOSSES
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.models.classifier import SMALLEST_NORM, CosineClassifier
from lfs_ray.training.head import head_loss

NUM_CLASSES, DIM, BATCH = 7, 8, 9
CHUNKS = (1, 3, NUM_CLASSES, 100)
SHARDABLE = sorted(n for n in LOSSES if make(n, NUM_CLASSES, **EXAMPLES[n]).shardable)


class Step(NamedTuple):
    """Loss of a batch, and the gradients by everything that has one."""

    value: Tensor
    by_embedding: Tensor
    by_centres: Tensor
    by_loss: list[Tensor]
    state: list[Tensor]


def _loss(name: str, dtype: torch.dtype, scale: float | None = None) -> ClassifierLoss:
    given = EXAMPLES[name] if scale is None else {**EXAMPLES[name], "scale": scale}
    return make(name, NUM_CLASSES, **given).to(dtype)


def _batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x_BD = 20.0 * torch.randn(BATCH, DIM, generator=generator, dtype=torch.float64)
    labels_B = torch.randint(NUM_CLASSES, (BATCH,), generator=generator)
    labels_B[:2] = torch.tensor([0, NUM_CLASSES - 1])
    return x_BD.to(dtype), labels_B


def _classifier(sub_centers: int, dtype: torch.dtype) -> CosineClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        classifier = CosineClassifier(DIM, NUM_CLASSES, sub_centers).to(dtype)
    with torch.no_grad():
        classifier.weight_CD[:2] *= 1e3
        classifier.weight_CD[2] *= 1e-5  # shorter than the least length that is normalised
        classifier.weight_CD[3] = 0.0
    return classifier


def _step(loss: ClassifierLoss, dtype: torch.dtype, chunk: int | None) -> Step:
    classifier = _classifier(loss.sub_centers, dtype)
    x_BD, labels_B = _batch(dtype)
    x_BD.requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        value = head_loss(classifier, loss, x_BD, labels_B, chunk=chunk)
        value.backward()
    assert x_BD.grad is not None
    assert classifier.weight_CD.grad is not None
    by_loss = [p.grad for p in loss.parameters() if p.grad is not None]
    state = [value.clone() for value in loss.state_dict().values()]
    return Step(value.detach(), x_BD.grad, classifier.weight_CD.grad, by_loss, state)


def _assert_same(found: Step, expected: Step, tolerance: float) -> None:
    assert len(found.by_loss) == len(expected.by_loss)
    pairs = [*zip(found[:3], expected[:3], strict=True)]
    pairs += [*zip(found.by_loss, expected.by_loss, strict=True)]
    pairs += [*zip(found.state, expected.state, strict=True)]
    for one, other in pairs:
        assert one.dtype == other.dtype
        largest = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=0.0, atol=tolerance * max(largest, 1.0))


@pytest.mark.parametrize("name", SHARDABLE)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_every_loss_has_its_dense_value_gradients_and_state(name: str, chunk: int) -> None:
    for scale in (None, 64.0):
        dense = _step(_loss(name, torch.float64, scale), torch.float64, None)
        found = _step(_loss(name, torch.float64, scale), torch.float64, chunk)
        _assert_same(found, dense, 1e-12)


@pytest.mark.parametrize("name", SHARDABLE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_loss_in_fp32_and_under_autocast(name: str, dtype: torch.dtype) -> None:
    def step(chunk: int | None) -> Step:
        classifier = _classifier(loss.sub_centers, torch.float32)
        x_BD, labels_B = _batch(torch.float32 if dtype == torch.float32 else dtype)
        x_BD.requires_grad_()
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            value = head_loss(classifier, loss, x_BD, labels_B, chunk=chunk)
        value.backward()
        assert x_BD.grad is not None
        assert classifier.weight_CD.grad is not None
        return Step(value.detach(), x_BD.grad, classifier.weight_CD.grad, [], [])

    with torch.random.fork_rng(devices=[]):
        loss = _loss(name, torch.float32)
        dense = step(None)
        loss = _loss(name, torch.float32)
        found = step(3)
    assert found.value.dtype == torch.float32
    assert found.by_embedding.dtype == dtype
    torch.testing.assert_close(found.value, dense.value, rtol=2e-6, atol=1e-6)
    for one, other in zip(found[1:3], dense[1:3], strict=True):
        step_size = torch.finfo(one.dtype).eps
        atol = 30.0 * step_size * float(other.abs().max()) + 1e-9
        torch.testing.assert_close(one, other, rtol=0.0, atol=atol)


@pytest.mark.parametrize("name", ["arcface", "curricularface", "uniface", "sub_center_arcface"])
def test_gradcheck(name: str) -> None:
    loss = _loss(name, torch.float64, 8.0).eval()
    x_BD, labels_B = _batch()
    x_BD = (x_BD / 20.0).requires_grad_()
    classifier = _classifier(loss.sub_centers, torch.float64)
    generator = torch.Generator().manual_seed(5)
    shape = classifier.weight_CD.shape
    weight_CD = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight_CD[-1] *= 0.01
    parameters = tuple(loss.parameters())

    def value(x: Tensor, w: Tensor, *_: Tensor) -> Tensor:
        del classifier.weight_CD
        classifier.weight_CD = w  # type: ignore[assignment]
        return head_loss(classifier, loss, x, labels_B, chunk=3)

    assert torch.autograd.gradcheck(value, (x_BD, weight_CD.requires_grad_(), *parameters))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_finite_where_an_embedding_lies_on_a_centre(sign: float) -> None:
    for name in SHARDABLE:
        loss = _loss(name, torch.float32, 64.0)
        classifier = _classifier(loss.sub_centers, torch.float32)
        x_BD = sign * 7.0 * classifier.weight_CD.detach()[[0, 4]].clone()
        x_BD.requires_grad_()
        value = head_loss(classifier, loss, x_BD, torch.tensor([0, 1]), chunk=2)
        value.backward()
        assert value.isfinite(), name
        assert x_BD.grad is not None
        assert x_BD.grad.isfinite().all(), name
        assert classifier.weight_CD.grad is not None
        assert classifier.weight_CD.grad.isfinite().all(), name


def test_a_centre_below_the_least_length_moves_along_itself_others_do_not() -> None:
    w_CD = _classifier(1, torch.float64).weight_CD.detach()
    assert 0.0 < w_CD[2].norm() < SMALLEST_NORM
    gradient_CD = _step(_loss("normface", torch.float64, 4.0), torch.float64, 2).by_centres
    along_C = torch.linalg.vecdot(w_CD, gradient_CD) / gradient_CD.norm(dim=1) / w_CD.norm(dim=1)
    assert along_C[2].abs() > 0.01
    assert along_C[[0, 1, 4, 5, 6]].abs().max() < 1e-12


def test_a_loss_that_needs_all_classes_is_refused_by_name() -> None:
    x_BD, labels_B = _batch(torch.float32)
    with pytest.raises(ConfigError, match=r"^a chunked classifier needs .* found Softmax: use"):
        head_loss(_classifier(1, torch.float32), make("softmax", 7), x_BD, labels_B, chunk=2)


class _Largest(TorchDispatchMode):
    """Notes the number of elements of every tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
        self.sizes |= {leaf.untyped_storage().nbytes() // leaf.element_size() for leaf in leaves}
        return made


@pytest.mark.parametrize("name", SHARDABLE)
def test_only_the_centres_gradient_is_as_large_as_they_are(name: str) -> None:
    classes, chunk = 4096, 16
    loss = make(name, classes, **EXAMPLES[name])
    classifier = CosineClassifier(DIM, classes, loss.sub_centers)
    x_BD, labels_B = _batch(torch.float32)
    with _Largest() as made:
        head_loss(classifier, loss, x_BD.requires_grad_(), labels_B, chunk=chunk).backward()
    weights = classes * loss.sub_centers * DIM
    allowed = max(chunk * loss.sub_centers * max(DIM, BATCH), BATCH * DIM * loss.sub_centers)
    # Beside it: the chunk's own tensors, and a learned margin for each class.
    assert {size for size in made.sizes if size > allowed} <= {weights, classes}
    assert weights in made.sizes
