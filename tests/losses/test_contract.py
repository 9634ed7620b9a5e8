"""What every loss of the catalogue must do; a new loss is tested by one line in EXAMPLES."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lfs_ray.losses.catalogue import LOSSES, build_loss
from lfs_ray.losses.contract import ClassifierLoss, softplus
from lfs_ray.models.classifier import CosineClassifier

EXAMPLES: dict[str, dict[str, Any]] = {
    "normface": {"scale": 64.0},
    "am_softmax": {"scale": 64.0, "margin": 0.35},
    "arcface": {"scale": 64.0, "margin": 0.5},
    "global": {"scale": 64.0, "theta": [0.3]},
    "local": {"scale": 64.0, "theta": [0.45 - 0.03 * j for j in range(10)]},
}
NEUTRAL: dict[str, dict[str, Any]] = {
    "normface": {},
    "am_softmax": {"margin": 0.0},
    "arcface": {"margin": 0.0},
    "global": {"theta": [0.0]},
    "local": {"theta": [0.0] * 10},
}
HALVES = (torch.bfloat16, torch.float16)

every_loss = pytest.mark.parametrize("name", sorted(LOSSES))


def _cosines(batch: int = 5, classes: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cos_BC = 0.9 * (2.0 * torch.rand(batch, classes, generator=generator, dtype=torch.float64) - 1)
    return cos_BC, torch.randint(classes, (batch,), generator=generator)


def test_every_loss_has_an_example() -> None:
    assert EXAMPLES.keys() == LOSSES.keys() == NEUTRAL.keys()


@every_loss
def test_neutral_parameters_give_normface(name: str) -> None:
    cos_BC, labels_B = _cosines(20, 9)
    expected = functional.cross_entropy(32.0 * cos_BC, labels_B, reduction="none")
    found = build_loss(name, scale=32.0, **NEUTRAL[name]).per_sample(cos_BC, labels_B)
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=1e-13)


@every_loss
def test_gradient(name: str) -> None:
    cos_BC, labels_B = _cosines()
    for scale in (4.0, 30.0):
        loss = build_loss(name, **{**EXAMPLES[name], "scale": scale})
        assert torch.autograd.gradcheck(
            lambda cos, loss=loss: loss.per_sample(cos, labels_B), cos_BC.clone().requires_grad_()
        )


@every_loss
def test_forward_is_the_mean_of_the_samples(name: str) -> None:
    cos_BC, labels_B = _cosines()
    loss = build_loss(name, **EXAMPLES[name])
    assert torch.equal(loss(cos_BC, labels_B), loss.per_sample(cos_BC, labels_B).mean())


@every_loss
def test_permuting_classes_with_labels_changes_nothing(name: str) -> None:
    cos_BC, labels_B = _cosines()
    order = torch.randperm(cos_BC.shape[1], generator=torch.Generator().manual_seed(1))
    loss = build_loss(name, **EXAMPLES[name])
    permuted = loss.per_sample(cos_BC[:, order], torch.argsort(order)[labels_B])
    torch.testing.assert_close(permuted, loss.per_sample(cos_BC, labels_B))


@every_loss
def test_a_higher_target_cosine_never_costs_more(name: str) -> None:
    cos_y = torch.linspace(-1.0, 1.0, 401, dtype=torch.float64)
    cos_BC = torch.cat([cos_y[:, None], torch.tensor([[0.2, -0.1]]).expand(401, 2)], dim=1)
    labels_B = torch.zeros(401, dtype=torch.int64)
    values = build_loss(name, **EXAMPLES[name]).per_sample(cos_BC, labels_B)
    if name != "local":  # its shift may step at a bin's edge, so only between edges
        assert (values.diff() <= 1e-12).all()
    assert values[0] > values[-1]


@every_loss
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALVES])
def test_finite_at_cosines_of_one(name: str, sign: float, own: bool, dtype: torch.dtype) -> None:
    for beyond in (1.0, 1.0 + 1e-6):  # rounding may leave [-1, 1] by a little
        cos_BC = torch.full((1, 4), 0.1, dtype=torch.float64)
        cos_BC[0, 1 if own else 2] = sign * beyond
        cos_BC = cos_BC.to(dtype).requires_grad_()
        value = build_loss(name, **EXAMPLES[name])(cos_BC, torch.tensor([1]))
        value.backward()
        assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert value.isfinite()
        assert value >= 0.0
        assert cos_BC.grad is not None
        assert cos_BC.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("autocast", HALVES)
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_step_under_autocast(name: str, autocast: torch.dtype, direction: float) -> None:
    # Embeddings exactly along their own centre or another one; batch of 1; classes absent.
    classifier = CosineClassifier(8, 5)
    torch.nn.init.normal_(classifier.weight_CD, generator=torch.Generator().manual_seed(0))
    for parallel_to in (2, 3):
        x_BD = (direction * 7.0 * classifier.weight_CD.detach()[parallel_to]).unsqueeze(0)
        x_BD.requires_grad_()
        labels_B = torch.tensor([2])
        loss = build_loss(name, **EXAMPLES[name])
        with torch.autocast("cpu", dtype=autocast):
            value = loss(classifier(x_BD), labels_B)
        value.backward()
        exact = loss(classifier.double()(x_BD.detach().double()), labels_B)
        classifier.float()
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-5)
        assert x_BD.grad is not None
        assert x_BD.grad.isfinite().all()
        assert classifier.weight_CD.grad is not None
        assert classifier.weight_CD.grad.isfinite().all()
        classifier.weight_CD.grad = None


@every_loss
@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_pieces_of_the_classes_give_the_dense_loss(name: str, pieces: int) -> None:
    cos_BC, labels_B = _cosines(6, 9)
    loss = build_loss(name, **EXAMPLES[name])
    cos_y_B = cos_BC.gather(1, labels_B[:, None]).squeeze(1)
    lse_B = torch.full_like(cos_y_B, -torch.inf)
    for columns in torch.arange(9).chunk(pieces):
        logits_BJ = loss.negatives(cos_BC[:, columns], cos_y_B)
        logits_BJ = logits_BJ.masked_fill(columns == labels_B[:, None], -torch.inf)
        lse_B = torch.logaddexp(lse_B, logits_BJ.logsumexp(1))
    found = loss.reduction(loss.target(cos_y_B), lse_B)
    torch.testing.assert_close(found, loss.per_sample(cos_BC, labels_B))
    assert loss.shardable


@every_loss
def test_theta_and_margins_stay_out_of_checkpoints(name: str) -> None:
    loss = build_loss(name, **EXAMPLES[name])
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []
    assert loss.needs == frozenset()


class _SharpNegatives(ClassifierLoss):
    """Doubles the cosines of negatives above the target: a loss with negatives of its own."""

    plain_negatives: ClassVar[bool] = False

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor) -> Tensor:
        return self.scale * torch.where(cos_BJ > cos_y_B[:, None], 2.0 * cos_BJ, cos_BJ)


def test_a_loss_with_its_own_negatives() -> None:
    cos_BC, labels_B = _cosines()
    loss = _SharpNegatives(8.0)
    logits_BC = 8.0 * cos_BC
    cos_y_B1 = cos_BC.gather(1, labels_B[:, None])
    logits_BC = torch.where(cos_BC > cos_y_B1, 2.0 * logits_BC, logits_BC)
    expected = functional.cross_entropy(logits_BC, labels_B)
    torch.testing.assert_close(loss(cos_BC, labels_B), expected)
    assert torch.autograd.gradcheck(
        lambda cos: loss.per_sample(cos, labels_B), cos_BC.requires_grad_()
    )


def test_softplus_has_no_cut_off() -> None:
    gap = torch.tensor([-800.0, -40.0, 0.0, 21.0, 800.0], dtype=torch.float64)
    expected = torch.logaddexp(gap, torch.zeros_like(gap))
    torch.testing.assert_close(softplus(gap), expected, atol=0.0, rtol=1e-15)
    assert softplus(gap)[3] > 21.0
