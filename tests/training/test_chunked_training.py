"""Training with the chunked classifier: dense weights to rounding, from any checkpoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lfs_ray.config.sections import ModelConfig, OptimizerConfig
from lfs_ray.data.loader import Batch
from lfs_ray.losses.catalogue import build_loss
from lfs_ray.training.checkpoint import decode, encode, model_facts, model_of
from lfs_ray.training.schedule import RateSchedule
from lfs_ray.training.state import TrainingState
from lfs_ray.training.steps import Loop

CPU = torch.device("cpu")
DENSE = ModelConfig(width=4, embedding_dim=8, input_size_px=32)
CHUNKED = replace(DENSE, classifier="chunked", classifier_chunk=2)
OPTIMIZER = OptimizerConfig(batch_size=8, warmup_epochs=0.0, clip_norm=1.0)
NUM_CLASSES = 5


def _state(model: ModelConfig, name: str = "curricularface") -> TrainingState:
    return TrainingState(model, OPTIMIZER, NUM_CLASSES, build_loss(name), CPU, init_seed=1)


def _train(state: TrainingState, model: ModelConfig, first: int, last: int) -> float:
    random = np.random.default_rng(0)
    batches = [
        Batch(
            random.integers(0, 256, (8, 32, 32, 3), np.uint8),
            random.integers(0, NUM_CLASSES, 8),
            0,
            0.0,
        )
        for _ in range(last)
    ]
    rates = RateSchedule(OPTIMIZER, 32, 128)
    loop = Loop(model=model, optimizer=OPTIMIZER, rates=rates, device=CPU, precision="fp32")
    return loop.run(state, batches[first:], 8 * first).loss


@pytest.mark.parametrize("name", ["curricularface", "sub_center_arcface", "npcface"])
def test_a_checkpoint_trained_dense_continues_chunked(name: str) -> None:
    dense = _state(DENSE, name)
    _train(dense, DENSE, 0, 2)
    stored = decode(b"".join(encode(dense.arrays(), {})), name="c")[0]
    chunked = _state(CHUNKED, name)
    chunked.load(stored, name="c")
    expected_loss, loss = _train(dense, DENSE, 2, 4), _train(chunked, CHUNKED, 2, 4)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    expected = dense.arrays()
    for key, value in chunked.arrays().items():
        np.testing.assert_allclose(value, expected[key], rtol=0.0, atol=3e-5, err_msg=key)
        moved = key in stored and not np.array_equal(stored[key], value)
        assert moved or not key.startswith(("classifier", "backbone.stages.0"))


def test_steps_go_by_chunks() -> None:
    state = _state(CHUNKED)
    state.classifier.register_forward_hook(lambda *_: pytest.fail("all cosines were made"))
    _train(state, CHUNKED, 0, 1)


def test_a_header_says_nothing_of_how_the_classifier_was_trained() -> None:
    assert model_facts(CHUNKED) == model_facts(DENSE)
    assert model_of({"model": model_facts(CHUNKED)}, name="c") == DENSE
