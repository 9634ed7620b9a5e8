from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lfs_ray.errors import ConfigError
from lfs_ray.models.catalogue import BACKBONES, build_backbone
from lfs_ray.models.iresnet import DEPTHS

SMALL = [name for name in BACKBONES if name not in ("iresnet34", "iresnet50", "iresnet100")]


def _seeded(name: str, **given: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return build_backbone(name, **given)


def test_the_names_are_these() -> None:
    iresnets = ["iresnet18", "iresnet34", "iresnet50", "iresnet100"]
    assert list(BACKBONES) == ["tiny", "mobilefacenet", *iresnets, "seresnet50_ir"]
    assert list(DEPTHS) == iresnets


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size_px", [32, 48])
def test_shapes_and_gradients(name: str, size_px: int) -> None:
    net = _seeded(name, embedding_dim=24, input_size_px=size_px)
    embedding_BD = net(torch.randn(3, 3, size_px, size_px))
    assert embedding_BD.shape == (3, 24)
    assert embedding_BD.dtype == torch.float32
    embedding_BD.square().sum().backward()
    for label, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, label
            assert parameter.grad.isfinite().all(), label


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_decides_the_weights_and_they_are_stored_plainly(name: str) -> None:
    first = _seeded(name, embedding_dim=8, input_size_px=32).state_dict()
    second = _seeded(name, embedding_dim=8, input_size_px=32).state_dict()
    assert first.keys() == second.keys()
    for label, tensor in first.items():
        assert torch.equal(tensor, second[label])
        assert tensor.is_contiguous(), label


@pytest.mark.parametrize("name", SMALL)
def test_images_of_a_batch_are_apart_in_evaluation(name: str) -> None:
    net = _seeded(name, embedding_dim=8, input_size_px=32).double().eval()
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(net(images)[1:2], net(images[1:2]), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ["iresnet18", "iresnet100"])
def test_iresnet_freezes_the_last_scale(name: str) -> None:
    net = _seeded(name, embedding_dim=8, input_size_px=32)
    frozen = [label for label, p in net.named_parameters() if not p.requires_grad]
    assert len(frozen) == 1
    assert torch.equal(net.get_parameter(frozen[0]), torch.ones(8))


def test_tiny_grows_with_its_width() -> None:
    narrow = _seeded("tiny", embedding_dim=8, input_size_px=32, width=4)
    wide = _seeded("tiny", embedding_dim=8, input_size_px=32, width=8)
    channels = [
        [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]
        for net in (narrow, wide)
    ]
    assert channels == [[4, 8, 16, 32], [8, 16, 32, 64]]


def test_tiny_learns() -> None:
    net = _seeded("tiny", embedding_dim=4, input_size_px=32, width=4)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(16, 3, 32, 32, generator=generator)
    labels = torch.arange(16) % 4
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(net(images), labels)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter -= 0.2 * gradient
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("iresnet10", {}, "did you mean 'iresnet100'"),
        ("vgg", {}, "backbone must be one of tiny, .* found 'vgg': choose"),
        ("tiny", {"embedding_dim": 0}, "embedding_dim must be >= 1, found 0"),
        ("tiny", {"input_size_px": 40}, "multiple of 16 and >= 32, found 40"),
        ("tiny", {"input_size_px": 16}, "multiple of 16 and >= 32, found 16"),
        ("tiny", {"width": 0}, "width must be >= 1, found 0"),
    ],
)
def test_mistakes(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_backbone(name, **{"embedding_dim": 8, "input_size_px": 32, **given})
    assert len(caught.value.mistakes) == 1


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build_backbone("tyni", embedding_dim=-1, input_size_px=33, width=0)
    assert len(caught.value.mistakes) == 4
