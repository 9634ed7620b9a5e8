"""IResNet 18, 34, 50 and 100 for faces: images (B, 3, H, W) -> embeddings (B, D).

The layout that face recognition compares with (improved residual units of Duta et al. 2020, as
used with ArcFace): a 3x3 stem without stride, four stages that each halve the size, blocks of
BN-conv-BN-PReLU-conv-BN, a fully connected layer over the last map, and a last batch norm whose
weight is frozen at 1.
"""

from __future__ import annotations

from torch import Tensor, nn

_CHANNELS = (64, 128, 256, 512)
DEPTHS: dict[str, tuple[int, int, int, int]] = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
_CONV_STD = 0.1


class IResNet(nn.Module):
    """An IResNet with so many blocks in each stage.

    Args:
        embedding_dim: D.
        input_size_px: side of the square input, a multiple of 16.
        depths: blocks of the four stages, a value of DEPTHS.
    """

    def __init__(
        self, embedding_dim: int, input_size_px: int, depths: tuple[int, int, int, int]
    ) -> None:
        super().__init__()
        stem = _CHANNELS[0]
        layers: list[nn.Module] = [
            nn.Conv2d(3, stem, 3, padding=1, bias=False),
            nn.BatchNorm2d(stem),
            nn.PReLU(stem),
        ]
        channels = stem
        for channels_out, num_blocks in zip(_CHANNELS, depths, strict=True):
            for block in range(num_blocks):
                layers.append(_Block(channels, channels_out, stride=1 if block else 2))
                channels = channels_out
        self.stages = nn.Sequential(*layers)
        side_px = input_size_px // 16
        features = nn.BatchNorm1d(embedding_dim)
        features.weight.requires_grad = False
        self.head = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Flatten(),
            nn.Linear(channels * side_px * side_px, embedding_dim),
            features,
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=_CONV_STD)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), roughly in [-1, 1] -> embeddings (B, D)."""
        out: Tensor = self.head(self.stages(images))
        return out


class _Block(nn.Module):
    """BN, conv, BN, PReLU, conv with the stride, BN; a projected shortcut if shapes differ."""

    def __init__(self, channels: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.PReLU(channels_out),
            nn.Conv2d(channels_out, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out
