"""How large a model is: parameters and multiply-adds. Read by the plan and by tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def count_parameters(model: nn.Module) -> int:
    """Number of parameters, frozen ones included; buffers (batch norm statistics) are not."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: nn.Module, input_size_px: int) -> int:
    """Multiply-adds of one image (1, 3, size, size) in convolutions and linear layers.

    One multiply-add counts once, as in the tables of face recognition ("GFLOPs"). The model is
    run once without gradient, in evaluation mode, and left in the mode it was in.
    """
    total = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * _multiply_adds_per_output(module)

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    was_training = model.training
    weight = next(model.parameters())
    try:
        with torch.no_grad():
            model.eval()(weight.new_zeros(1, 3, input_size_px, input_size_px))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return total


def _multiply_adds_per_output(module: nn.Module) -> int:
    if isinstance(module, nn.Conv2d):
        return module.weight[0].numel()
    assert isinstance(module, nn.Linear)
    return module.in_features
