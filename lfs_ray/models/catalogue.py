"""Every backbone by name: configuration -> module from images (B, 3, H, W) to embeddings (B, D).

A new backbone is one file and one line of BACKBONES. Initial weights come from torch's default
generator: seed it before the call (torch.manual_seed inside torch.random.fork_rng).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from torch import nn

from lfs_ray.errors import ConfigError
from lfs_ray.models.iresnet import DEPTHS, IResNet
from lfs_ray.models.mobilefacenet import MobileFaceNet
from lfs_ray.models.seresnet import SeResNet50Ir
from lfs_ray.models.tiny import Tiny

SIZE_STEP_PX = 16
SMALLEST_SIZE_PX = 32


def _iresnet(depth_name: str) -> Callable[[int, int, int], nn.Module]:
    def build(embedding_dim: int, input_size_px: int, width: int) -> nn.Module:
        return IResNet(embedding_dim, input_size_px, DEPTHS[depth_name])

    return build


def _mobilefacenet(embedding_dim: int, input_size_px: int, width: int) -> nn.Module:
    return MobileFaceNet(embedding_dim, input_size_px)


def _seresnet50_ir(embedding_dim: int, input_size_px: int, width: int) -> nn.Module:
    return SeResNet50Ir(embedding_dim, input_size_px)


BACKBONES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "tiny": Tiny,
    "mobilefacenet": _mobilefacenet,
    "iresnet18": _iresnet("iresnet18"),
    "iresnet34": _iresnet("iresnet34"),
    "iresnet50": _iresnet("iresnet50"),
    "iresnet100": _iresnet("iresnet100"),
    "seresnet50_ir": _seresnet50_ir,
}


def build_backbone(
    name: str, *, embedding_dim: int, input_size_px: int, width: int = 16
) -> nn.Module:
    """The backbone called `name`, for square inputs.

    Args:
        name: a key of BACKBONES.
        embedding_dim: D >= 1.
        input_size_px: side of the input, a multiple of 16, at least 32.
        width: channels of tiny's first stage; the others have their published widths.

    Raises:
        ConfigError: the name is unknown or a number out of range.
    """
    mistakes = []
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "choose one of them"
        mistakes.append(f"backbone must be one of {', '.join(BACKBONES)}, found '{name}': {hint}")
    if embedding_dim < 1:
        mistakes.append(f"embedding_dim must be >= 1, found {embedding_dim}")
    if input_size_px < SMALLEST_SIZE_PX or input_size_px % SIZE_STEP_PX:
        mistakes.append(
            f"input_size_px must be a multiple of {SIZE_STEP_PX} and >= {SMALLEST_SIZE_PX}, "
            f"found {input_size_px}"
        )
    if width < 1:
        mistakes.append(f"width must be >= 1, found {width}")
    if mistakes:
        raise ConfigError(mistakes)
    return BACKBONES[name](embedding_dim, input_size_px, width)
