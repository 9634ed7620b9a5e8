from __future__ import annotations

import pytest
import torch

from lfs_ray.config.sections import ModelConfig
from lfs_ray.errors import ConfigError
from lfs_ray.models.count import count_multiply_adds, count_parameters
from lfs_ray.training.backbone import measure, new_backbone


@pytest.mark.parametrize("name", ["tiny", "mobilefacenet", "seresnet50_ir"])
def test_sizes_are_known_without_the_numbers(name: str) -> None:
    model = ModelConfig(backbone=name, width=8, input_size_px=48)  # type: ignore[arg-type]
    backbone = new_backbone(model)
    assert measure(model) == (count_parameters(backbone), count_multiply_adds(backbone, 48))


def test_every_key_reaches_the_network() -> None:
    base = ModelConfig(width=4, embedding_dim=8, input_size_px=32)
    assert new_backbone(base)(torch.zeros(2, 3, 32, 32)).shape == (2, 8)
    others = [
        ModelConfig(width=5, embedding_dim=8, input_size_px=32),
        ModelConfig(width=4, embedding_dim=9, input_size_px=32),
        ModelConfig(width=4, embedding_dim=8, input_size_px=48),
        ModelConfig(backbone="iresnet18", embedding_dim=8, input_size_px=32),
    ]
    assert measure(base) not in [measure(other) for other in others]


def test_measuring_draws_nothing() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    measure(ModelConfig())
    assert torch.rand(1) == expected


def test_a_network_that_cannot_be_is_one_error() -> None:
    with pytest.raises(ConfigError, match="input_size_px"):
        new_backbone(ModelConfig(input_size_px=33))
