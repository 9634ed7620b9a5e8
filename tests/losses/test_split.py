from __future__ import annotations

import pytest
import torch

from lfs_ray.losses.split import Negatives, at_least_fp32, softplus_sum, split


def test_against_loops() -> None:
    values_BC = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels_B = torch.tensor([0, 5, 2, 5])
    value_y_B, lse_B = split(values_BC, labels_B, Negatives(scale=3.0))
    for i, label in enumerate(labels_B.tolist()):
        others = [3.0 * values_BC[i, j] for j in range(6) if j != label]
        assert value_y_B[i] == values_BC[i, label]
        torch.testing.assert_close(lse_B[i], torch.stack(others).logsumexp(0))


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_gradient(classes: int) -> None:
    values_BC = torch.randn(3, classes, dtype=torch.float64).requires_grad_()
    labels_B = torch.tensor([0, 1, classes - 1])
    assert torch.autograd.gradcheck(lambda v: split(v, labels_B, Negatives(scale=5.0)), values_BC)


def test_a_dominating_target_costs_no_digits() -> None:
    # From the full log-sum-exp the negatives' could not be recovered in fp32: e^-120 is lost.
    cos_BC = torch.tensor([[1.0, -0.9, -0.95]])
    _, lse_B = split(cos_BC, torch.tensor([0]), Negatives(scale=64.0))
    exact = torch.logsumexp(64.0 * cos_BC[0, 1:].double(), 0)
    assert lse_B.item() == pytest.approx(exact.item(), rel=1e-6)


def test_the_input_is_left_alone_and_backward_may_run_twice() -> None:
    values_BC = torch.randn(3, 4).requires_grad_()
    before = values_BC.detach().clone()
    _, lse_B = split(values_BC, torch.tensor([0, 1, 2]), Negatives(scale=2.0))
    (first,) = torch.autograd.grad(lse_B.sum(), values_BC, retain_graph=True)
    (second,) = torch.autograd.grad(lse_B.sum(), values_BC)
    assert torch.equal(first, second)
    assert torch.equal(values_BC, before)


def test_precision_rises_to_fp32_and_never_falls() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert at_least_fp32(torch.zeros(2, dtype=dtype)).dtype == torch.float32
    assert at_least_fp32(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_softplus_sum_is_exact_at_any_size() -> None:
    logits_BJ = torch.tensor([[-800.0, -30.0, 0.0], [25.0, 800.0, -torch.inf]]).double()
    expected = torch.logaddexp(logits_BJ, torch.zeros(1).double()).sum(1)
    torch.testing.assert_close(softplus_sum(logits_BJ.clone()), expected, atol=0.0, rtol=1e-15)


@pytest.mark.parametrize("sums", ["exp", "softplus"])
def test_gradient_by_values_and_offset_with_own_slopes(sums: str) -> None:
    values_BC = torch.randn(3, 5, dtype=torch.float64).requires_grad_()
    offset = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    squares = Negatives(logits=lambda c: 3.0 * c**2, slopes=lambda c: 6.0 * c, sums=sums)  # type: ignore[arg-type]
    labels_B = torch.tensor([0, 1, 4])
    assert torch.autograd.gradcheck(
        lambda v, b: split(v, labels_B, squares, b), (values_BC, offset)
    )
