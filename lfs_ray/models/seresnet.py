"""SE-ResNet-IR-50 for faces: images (B, 3, H, W) -> embeddings (B, D).

IR residual units (Deng et al. 2019) with squeeze and excitation (Hu et al. 2018), in the layout
known from PyTorch ports of ArcFace: units of BN-conv-PReLU-conv-BN-SE, identity shortcuts by
subsampling where channels stay, dropout before the last fully connected layer.
"""

from __future__ import annotations

from torch import Tensor, nn

_CHANNELS = (64, 128, 256, 512)
_DEPTHS = (3, 4, 14, 3)
_SE_REDUCTION = 16
_DROPOUT = 0.4


class SeResNet50Ir(nn.Module):
    """Units of 3, 4, 14 and 3 in four stages, each of which halves the size.

    Args:
        embedding_dim: D.
        input_size_px: side of the square input, a multiple of 16.
    """

    def __init__(self, embedding_dim: int, input_size_px: int) -> None:
        super().__init__()
        channels = _CHANNELS[0]
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
        ]
        for channels_out, num_units in zip(_CHANNELS, _DEPTHS, strict=True):
            for unit in range(num_units):
                layers.append(_Unit(channels, channels_out, stride=1 if unit else 2))
                channels = channels_out
        self.stages = nn.Sequential(*layers)
        side_px = input_size_px // 16
        self.head = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Dropout(_DROPOUT),
            nn.Flatten(),
            nn.Linear(channels * side_px * side_px, embedding_dim),
            nn.BatchNorm1d(embedding_dim),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), roughly in [-1, 1] -> embeddings (B, D)."""
        out: Tensor = self.head(self.stages(images))
        return out


class _Unit(nn.Module):
    """BN, conv, PReLU, conv with the stride, BN, SE, beside a shortcut."""

    def __init__(self, channels: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels_out, 3, padding=1, bias=False),
            nn.PReLU(channels_out),
            nn.Conv2d(channels_out, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            _SqueezeExcite(channels_out),
        )
        self.shortcut: nn.Module = nn.MaxPool2d(1, stride)
        if channels != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


class _SqueezeExcite(nn.Module):
    """Channel gates from the mean over the map, through a bottleneck."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // _SE_REDUCTION, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // _SE_REDUCTION, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x * self.gate(x)
        return out
