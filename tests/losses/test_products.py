from __future__ import annotations

import pytest
import torch

from lfs_ray.losses.products import given, products


@pytest.mark.parametrize("columns", [True, False])
def test_values_and_gradients(columns: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    cos_BJ, rows_B, columns_J = (
        torch.rand(shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in ((3, 4), (3,), (4,))
    )
    found = products(cos_BJ, rows_B, columns_J if columns else None)
    for i in range(3):
        for j in range(4):
            factor = columns_J[j].item() if columns else 1.0
            assert found[i, j].item() == pytest.approx(
                cos_BJ[i, j].item() * rows_B[i].item() * factor
            )
    assert torch.autograd.gradcheck(
        lambda c, r, w: products(c, r, w if columns else None), (cos_BJ, rows_B, columns_J)
    )


def test_lengths_of_another_precision() -> None:
    cos_BJ = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    columns_J = torch.full((3,), 2.0, requires_grad=True)
    products(cos_BJ, torch.ones(2), columns_J).sum().backward()
    assert columns_J.grad is not None
    assert columns_J.grad.tolist() == [2.0] * 3


def test_missing_lengths() -> None:
    with pytest.raises(TypeError, match="needs lengths"):
        given(None)
