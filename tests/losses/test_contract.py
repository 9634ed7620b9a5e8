"""What every loss of the catalogue must do; a new loss is tested by one line of examples."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from examples import EXAMPLES
from heads import golden_head, look, make, per_sample, seen_beside
from torch import Tensor
from torch.nn import functional

from lfs_ray.losses.catalogue import LOSSES
from lfs_ray.losses.contract import ClassifierLoss, Seen, focal, softplus
from lfs_ray.losses.split import softplus_sum

HALVES = (torch.bfloat16, torch.float16)

every_loss = pytest.mark.parametrize("name", sorted(LOSSES))


def _cosines(batch: int = 5, classes: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cos_BC = 0.9 * (2.0 * torch.rand(batch, classes, generator=generator, dtype=torch.float64) - 1)
    return cos_BC, torch.randint(classes, (batch,), generator=generator)


def test_every_loss_has_an_example() -> None:
    assert EXAMPLES.keys() == LOSSES.keys()


@pytest.mark.parametrize("name", sorted(n for n in LOSSES if LOSSES[n].neutral is not None))
def test_neutral_parameters_give_normface(name: str) -> None:
    cos_BC, labels_B = _cosines(20, 9)
    expected = functional.cross_entropy(32.0 * cos_BC, labels_B, reduction="none")
    spec = LOSSES[name]
    loss = make(name, 9, scale=32.0, theta=spec.neutral_theta, **(spec.neutral or {}))
    found = per_sample(loss, cos_BC, labels_B)
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=1e-13)


@pytest.mark.parametrize("name", sorted(n for n in LOSSES if LOSSES[n].exact_gradient))
def test_gradient(name: str) -> None:
    cos_BC, labels_B = _cosines()
    for scale in (4.0, 30.0):
        loss = make(name, 7, **{**EXAMPLES[name], "scale": scale}).eval()
        assert torch.autograd.gradcheck(
            lambda cos, loss=loss: per_sample(loss, cos, labels_B),
            cos_BC.clone().requires_grad_(),
        )


@pytest.mark.parametrize("name", sorted(n for n in LOSSES if LOSSES[n].exact_gradient))
def test_gradient_by_norms_centres_and_own_parameters(name: str) -> None:
    head = golden_head()
    loss = make(name, 6, **EXAMPLES[name]).double().eval()
    parameters = list(loss.parameters())

    def total(x: Tensor, w: Tensor, *_: Tensor) -> Tensor:
        torch.manual_seed(1)
        cos_BC, seen = look(loss, head._replace(x=x, w=w))
        return loss(cos_BC, head.y, seen)

    with torch.random.fork_rng(devices=[]):
        assert torch.autograd.gradcheck(
            total, (head.x.requires_grad_(), head.w.requires_grad_(), *parameters)
        )


@every_loss
def test_forward_is_the_mean_of_the_samples_and_the_penalty(name: str) -> None:
    cos_BC, labels_B = _cosines()
    loss, again = (make(name, 7, **EXAMPLES[name]) for _ in range(2))
    seen = seen_beside(loss, cos_BC, labels_B)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        found = loss(cos_BC, labels_B, seen)
    expected = per_sample(again, cos_BC, labels_B).mean()
    penalty = again.penalty(seen)
    if penalty is not None:
        expected = expected + penalty.mean()
    torch.testing.assert_close(found, expected)


@every_loss
def test_permuting_classes_with_labels_changes_nothing(name: str) -> None:
    cos_BC, labels_B = _cosines()
    order = torch.randperm(cos_BC.shape[1], generator=torch.Generator().manual_seed(1))
    loss, permuted = (make(name, 7, **EXAMPLES[name]) for _ in range(2))
    for key, value in permuted.state_dict().items():  # what is kept by class is permuted too
        if value.ndim and len(value) == 7:
            value.copy_(loss.state_dict()[key][order])
    found = per_sample(permuted, cos_BC[:, order], torch.argsort(order)[labels_B])
    torch.testing.assert_close(found, per_sample(loss, cos_BC, labels_B))


@every_loss
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALVES])
def test_finite_at_cosines_of_one(name: str, sign: float, own: bool, dtype: torch.dtype) -> None:
    for beyond in (1.0, 1.0 + 1e-6):  # rounding may leave [-1, 1] by a little
        cos_BC = torch.full((1, 4), 0.1, dtype=torch.float64)
        cos_BC[0, 1 if own else 2] = sign * beyond
        cos_BC = cos_BC.to(dtype).requires_grad_()
        labels_B = torch.tensor([1])
        loss = make(name, 4, **{**EXAMPLES[name], "scale": 64.0})
        seen = seen_beside(loss, cos_BC.detach().float(), labels_B)
        value = loss(cos_BC, labels_B, seen)
        value.backward()
        assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert value.isfinite()
        assert cos_BC.grad is not None
        assert cos_BC.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("autocast", HALVES)
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_step_under_autocast(name: str, autocast: torch.dtype, direction: float) -> None:
    # Embeddings exactly along their own centre or another one; batch of 1; classes absent.
    weight_CD = torch.empty(5, 8)
    torch.nn.init.normal_(weight_CD, generator=torch.Generator().manual_seed(0))
    for parallel_to in (2, 3):
        x_BD = (direction * 7.0 * weight_CD[parallel_to]).unsqueeze(0).requires_grad_()
        w_CD = weight_CD.clone().requires_grad_()
        head = golden_head()._replace(x=x_BD, w=w_CD, y=torch.tensor([2]))
        loss, again = (make(name, 5, **{**EXAMPLES[name], "scale": 64.0}) for _ in range(2))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            cos_BC, seen = look(loss, head)
            with torch.autocast("cpu", dtype=autocast):
                value = loss(cos_BC, head.y, seen)
            value.backward()
            torch.manual_seed(1)
            exact_head = head._replace(x=x_BD.detach().double(), w=weight_CD.double())
            cos_BC, seen = look(again, exact_head)
            exact = again.double()(cos_BC, head.y, seen)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact.item(), rel=1e-4, abs=1e-4)
        for grad in (x_BD.grad, w_CD.grad):
            assert grad is not None
            assert grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_pieces_of_the_classes_give_the_dense_loss(name: str, pieces: int) -> None:
    cos_BC, labels_B = _cosines(6, 9)
    loss, dense = (make(name, 9, **EXAMPLES[name]) for _ in range(2))
    expected = per_sample(dense, cos_BC, labels_B)
    if not loss.shardable:
        return
    found = _in_pieces(loss, cos_BC, labels_B, pieces)
    torch.testing.assert_close(found, expected)


def _in_pieces(loss: ClassifierLoss, cos_BC: Tensor, labels_B: Tensor, pieces: int) -> Tensor:
    """The loss as a classifier computes it that holds the classes in pieces."""
    seen = seen_beside(loss, cos_BC, labels_B)
    cos_y_B = cos_BC.gather(1, labels_B[:, None]).squeeze(1)
    columns = torch.arange(cos_BC.shape[1]).chunk(pieces)
    if loss.has_statistics:
        others_BC = cos_BC.scatter(1, labels_B[:, None], -2.0)
        sums = [loss.statistics(others_BC[:, piece], cos_y_B) for piece in columns]
        seen = Seen(labels_B, norms_B=seen.norms_B, statistics_BK=torch.stack(sums).sum(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        loss.begun(cos_y_B, seen)
        negatives = loss.pieces(cos_y_B, seen)
        sums_B = []
        for piece in columns:
            logits_BJ = negatives.of(cos_BC[:, piece], loss.offset())
            logits_BJ = logits_BJ.masked_fill(piece == labels_B[:, None], -torch.inf)
            exp = loss.sums == "exp"
            sums_B.append(logits_BJ.logsumexp(1) if exp else softplus_sum(logits_BJ))
        stacked = torch.stack(sums_B)
        total_B = stacked.logsumexp(0) if loss.sums == "exp" else stacked.sum(0)
        return loss.combine(cos_y_B, total_B, seen)


@every_loss
def test_state_moves_in_training_only_and_comes_back(name: str) -> None:
    cos_BC, labels_B = _cosines()
    loss, other = (make(name, 7, **EXAMPLES[name]) for _ in range(2))
    per_sample(loss, cos_BC, labels_B)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    per_sample(loss.eval(), cos_BC, labels_B)
    after = loss.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    other.load_state_dict(after)
    torch.testing.assert_close(
        per_sample(other.eval(), cos_BC, labels_B), per_sample(loss, cos_BC, labels_B)
    )


@every_loss
def test_only_declared_needs_are_looked_at(name: str) -> None:
    known = {"norms", "weight_norms", "embeddings"}
    assert make(name, 7, **EXAMPLES[name]).needs <= known


@pytest.mark.parametrize("name", sorted(n for n in LOSSES if LOSSES[n].focal))
def test_focal_on_top(name: str) -> None:
    cos_BC, labels_B = _cosines()
    plain, focused = (make(name, 7, **EXAMPLES[name]) for _ in range(2))
    focused.focal_gamma = 2.0
    loss_B = per_sample(plain, cos_BC, labels_B)
    expected_B = (1.0 - torch.exp(-loss_B)) ** 2 * loss_B
    torch.testing.assert_close(per_sample(focused, cos_BC, labels_B), expected_B)


def test_focal_gradient_at_both_ends() -> None:
    loss_B = torch.tensor([0.0, 1e-12, 0.5, 100.0], dtype=torch.float64, requires_grad=True)
    focal(loss_B, 0.5).sum().backward()
    assert loss_B.grad is not None
    assert loss_B.grad.isfinite().all()


def test_duplicate_identities_weigh_gradients_alone() -> None:
    head = golden_head()  # class 3 occurs twice
    gradients = []
    for duplicates in (False, True):
        loss = make("normface", 6)
        loss.duplicate_identity_weight = duplicates
        cos_BC = look(loss, head)[0].detach().requires_grad_()
        value = loss(cos_BC, head.y)
        assert value.item() == pytest.approx(20.687325349, abs=1e-9)
        (gradient,) = torch.autograd.grad(value, cos_BC)
        gradients.append(gradient)
    times = torch.tensor([2.0, 1.0, 1.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(gradients[1], times[:, None] * gradients[0])


class _SharpNegatives(ClassifierLoss):
    """Doubles the cosines of negatives above the target: a loss with negatives of its own."""

    plain_negatives: ClassVar[bool] = False

    def negatives(self, cos_BJ: Tensor, cos_y_B: Tensor, seen: Seen) -> Tensor:
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
