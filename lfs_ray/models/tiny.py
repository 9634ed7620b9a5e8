"""A small plain convolutional net for CPUs: examples, tests and searches on a laptop.

Images (B, 3, H, W) -> embeddings (B, D), unnormalised. Four stages halve the size and double the
channels; the map that is left is flattened, not pooled, as is usual for aligned faces.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_NUM_STAGES = 4


class Tiny(nn.Module):
    """Stages of 1, 2, 4 and 8 times `width` channels: 3x3 convolution of stride 2, BN, ReLU.

    Args:
        embedding_dim: D.
        input_size_px: side of the square input, a multiple of 16.
        width: channels of the first stage.
    """

    def __init__(self, embedding_dim: int, input_size_px: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in range(_NUM_STAGES):
            layers += _stage(channels, width << stage)
            channels = width << stage
        side_px = input_size_px >> _NUM_STAGES
        self.stages = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side_px * side_px, embedding_dim, bias=False),
            nn.BatchNorm1d(embedding_dim),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), roughly in [-1, 1] -> embeddings (B, D)."""
        # Channels last trains about a tenth faster on a CPU (measured); the weights stay in
        # their usual layout, so that checkpoints need no conversion.
        out: Tensor = self.head(self.stages(images.contiguous(memory_format=torch.channels_last)))
        return out


def _stage(channels_in: int, channels_out: int) -> list[nn.Module]:
    conv = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)]
