"""MobileFaceNet (Chen et al. 2018, table 1): images (B, 3, H, W) -> embeddings (B, D).

The layout of the paper: 1.00 M parameters (0.99 M in the paper) and 221 M multiply-adds at 112x112
with D = 128, 1.20 M with D = 512. Variants of the same name with twice the operations exist.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_STEM_CHANNELS = 64
_HEAD_CHANNELS = 512
# expansion, channels, repeats, stride of the first: the paper's t, c, n, s
_BOTTLENECKS = (
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)


class MobileFaceNet(nn.Module):
    """Inverted residuals with PReLU, then a global depthwise convolution instead of pooling.

    Args:
        embedding_dim: D.
        input_size_px: side of the square input, a multiple of 16.
    """

    def __init__(self, embedding_dim: int, input_size_px: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            *_conv(3, _STEM_CHANNELS, 3, stride=2),
            *_conv(_STEM_CHANNELS, _STEM_CHANNELS, 3, groups=_STEM_CHANNELS),
        ]
        channels = _STEM_CHANNELS
        for expansion, channels_out, repeats, first_stride in _BOTTLENECKS:
            for repeat in range(repeats):
                stride = 1 if repeat else first_stride
                layers.append(_Bottleneck(channels, channels_out, expansion, stride))
                channels = channels_out
        layers += _conv(channels, _HEAD_CHANNELS, 1)
        self.stages = nn.Sequential(*layers)
        side_px = input_size_px // 16
        self.head = nn.Sequential(
            nn.Conv2d(_HEAD_CHANNELS, _HEAD_CHANNELS, side_px, groups=_HEAD_CHANNELS, bias=False),
            nn.BatchNorm2d(_HEAD_CHANNELS),
            nn.Flatten(),
            nn.Linear(_HEAD_CHANNELS, embedding_dim, bias=False),
            nn.BatchNorm1d(embedding_dim),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), roughly in [-1, 1] -> embeddings (B, D)."""
        # Channels last: a sixth to a third faster on a CPU (measured); weights stay as they are.
        out: Tensor = self.head(self.stages(images.contiguous(memory_format=torch.channels_last)))
        return out


class _Bottleneck(nn.Module):
    """Expand, depthwise, project without activation; a shortcut where the shape allows it."""

    def __init__(self, channels: int, channels_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.residual = stride == 1 and channels == channels_out
        self.body = nn.Sequential(
            *_conv(channels, hidden, 1),
            *_conv(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.residual else out


def _conv(
    channels: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = nn.Conv2d(
        channels, channels_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm2d(channels_out), nn.PReLU(channels_out)]
