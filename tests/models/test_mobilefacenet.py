from __future__ import annotations

import torch
from torch import nn

from lfs_ray.models.mobilefacenet import MobileFaceNet


def test_blocks_that_keep_the_shape_add_to_their_input() -> None:
    net = MobileFaceNet(embedding_dim=8, input_size_px=32).eval()
    blocks = [block for block in net.stages if hasattr(block, "residual")]
    kept = [block for block in blocks if block.residual]
    assert (len(blocks), len(kept)) == (15, 12)
    for block in kept:
        last = block.body[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)
        x = torch.randn(1, last.num_features, 4, 4)
        with torch.no_grad():
            assert torch.equal(block(x), x)
