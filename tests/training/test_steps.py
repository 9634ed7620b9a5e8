from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lfs_ray.config.sections import ModelConfig, OptimizerConfig
from lfs_ray.data.loader import Batch
from lfs_ray.errors import TrainingError
from lfs_ray.losses.catalogue import build_loss
from lfs_ray.training.schedule import RateSchedule
from lfs_ray.training.state import TrainingState
from lfs_ray.training.steps import Loop, Trained, to_pixels

CPU = torch.device("cpu")
MODEL = ModelConfig(width=4, embedding_dim=8, input_size_px=32)
OPTIMIZER = OptimizerConfig(
    batch_size=4, schedule="constant", warmup_epochs=0.0, momentum=0.0, weight_decay=0.0
)
NUM_CLASSES = 3


def new_state(*, use_scaler: bool = False) -> TrainingState:
    loss = build_loss("normface", scale=16.0)
    return TrainingState(
        MODEL, OPTIMIZER, NUM_CLASSES, loss, CPU, init_seed=1, use_scaler=use_scaler
    )


def some_batches(count: int, skipped: int = 0) -> list[Batch]:
    random = np.random.default_rng(0)
    return [
        Batch(
            random.integers(0, 256, (4, 32, 32, 3), np.uint8),
            random.integers(0, NUM_CLASSES, 4),
            skipped,
            0.25,
        )
        for _ in range(count)
    ]


def train(
    state: TrainingState,
    batches: Iterable[Batch],
    *,
    optimizer: OptimizerConfig = OPTIMIZER,
    precision: str = "fp32",
    seen: int = 0,
) -> Trained:
    rates = RateSchedule(optimizer, 8, 64)
    loop = Loop(model=MODEL, optimizer=optimizer, rates=rates, device=CPU, precision=precision)
    return loop.run(state, batches, seen)


def weights(state: TrainingState) -> dict[str, bytes]:
    return {name: parameter.detach().numpy().tobytes() for name, parameter in state.parameters()}


class FailsAt(nn.Module):
    """A backbone whose embeddings, or their gradients, are not finite in some of its calls."""

    def __init__(self, inner: nn.Module, calls: Iterable[int], *, backward: bool = False) -> None:
        super().__init__()
        self.inner, self.calls, self.backward = inner, set(calls), backward
        self.call = -1

    def forward(self, images: Tensor) -> Tensor:
        self.call += 1
        if self.call not in self.calls:
            return self.inner(images)
        if not self.backward:
            return self.inner(images * math.inf)
        embedding = self.inner(images)
        embedding.register_hook(lambda gradient: gradient * math.nan)
        return embedding


def breaking(state: TrainingState, calls: Iterable[int], *, backward: bool = False) -> None:
    state.backbone = FailsAt(state.backbone, calls, backward=backward)


@pytest.mark.parametrize("backward", [False, True])
def test_a_step_that_is_not_finite_leaves_no_trace(backward: bool) -> None:
    batches = some_batches(3)
    with_fault, without = new_state(), new_state()
    breaking(with_fault, [1], backward=backward)
    trained = train(with_fault, batches)
    expected = train(without, [batches[0], batches[2]])
    inner = with_fault.backbone.inner
    assert isinstance(inner, nn.Module)
    assert trained.nonfinite_steps == 1
    assert (trained.images, trained.loss) == (expected.images, expected.loss)
    for name, value in without.backbone.state_dict().items():
        assert torch.equal(inner.state_dict()[name], value), name
    assert torch.equal(with_fault.classifier.weight_CD, without.classifier.weight_CD)


def test_past_the_limit_the_trial_fails_in_one_line_with_its_numbers() -> None:
    state = new_state()
    breaking(state, [1, 2, 4])
    optimizer = replace(OPTIMIZER, max_nonfinite_steps=2, learning_rate=0.125)
    with pytest.raises(TrainingError) as error:
        train(state, some_batches(6), optimizer=optimizer, seen=100)
    text = str(error.value)
    assert text.startswith("at most 2 steps of a trial may be non-finite, found 3 (loss nan, ")
    assert "learning rate 0.125, lineage image 120, largest weight norm " in text
    assert text.endswith(": lower optimizer.learning_rate or search.margin_max")
    assert "\n" not in text


def test_at_the_limit_the_trial_goes_on() -> None:
    state = new_state()
    breaking(state, [1, 2])
    trained = train(state, some_batches(6), optimizer=replace(OPTIMIZER, max_nonfinite_steps=2))
    assert (trained.nonfinite_steps, trained.images) == (2, 16)
    assert math.isfinite(trained.loss)


def test_a_trial_without_a_finite_step_has_no_loss() -> None:
    state = new_state()
    breaking(state, range(2))
    assert math.isnan(train(state, some_batches(2)).loss)


def test_a_learning_rate_too_high_ends_as_a_failed_trial() -> None:
    optimizer = replace(OPTIMIZER, learning_rate=1e30, clip_norm=0.0, max_nonfinite_steps=1)
    with pytest.raises(TrainingError, match=re.escape("learning rate 1e+30")):
        train(new_state(), some_batches(8), optimizer=optimizer)


def test_an_overflow_of_scaled_gradients_lowers_the_scale_and_is_no_failure() -> None:
    state = new_state(use_scaler=True)
    before = 64.0
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": before})
    breaking(state, [1], backward=True)
    trained = train(state, some_batches(3), precision="fp16")
    assert trained.nonfinite_steps == 0
    assert state.scaler.get_scale() == before / 2


def test_gradients_that_no_scale_can_save_fail_the_trial() -> None:
    state = new_state(use_scaler=True)
    breaking(state, range(100), backward=True)
    with pytest.raises(TrainingError, match="may be non-finite"):
        train(state, some_batches(40), precision="fp16")


@pytest.mark.parametrize(("clip_norm", "clipped"), [(0.01, True), (1e6, False), (0.0, False)])
def test_the_whole_gradient_is_clipped(clip_norm: float, clipped: bool) -> None:
    optimizer = replace(OPTIMIZER, clip_norm=clip_norm, learning_rate=1.0)
    free, state = new_state(), new_state()
    train(free, some_batches(1), optimizer=replace(optimizer, clip_norm=0.0))
    train(state, some_batches(1), optimizer=optimizer)
    start = dict(new_state().parameters())
    step = {name: start[name] - value for name, value in state.parameters()}
    whole = math.sqrt(sum(float((part.detach() ** 2).sum()) for part in step.values()))
    if clipped:
        assert whole == pytest.approx(clip_norm, rel=1e-4)
        free_step = {name: start[name] - value for name, value in free.parameters()}
        name = "backbone.stages.0.weight"
        cosine = nn.functional.cosine_similarity(
            step[name].flatten(), free_step[name].flatten(), dim=0
        )
        assert float(cosine.detach()) == pytest.approx(1.0, abs=1e-5)
    else:
        assert weights(state) == weights(free)


def test_the_first_step_is_plain_gradient_descent_at_the_schedules_rate() -> None:
    optimizer = replace(OPTIMIZER, clip_norm=0.0, warmup_epochs=2.0, learning_rate=0.5)
    (batch,) = some_batches(1)
    state, reference = new_state(), new_state()
    train(state, [batch], optimizer=optimizer, seen=4)
    rate = 0.5 * 8 / 16  # image 8 of a warm-up of 16
    reference.backbone.train()
    pixels = (torch.from_numpy(batch.images_BHWC).permute(0, 3, 1, 2).float() - 127.5) / 128
    cosines = reference.classifier(reference.backbone(pixels))
    loss = nn.functional.cross_entropy(16.0 * cosines, torch.from_numpy(batch.labels_B))
    loss.backward()
    found = dict(state.parameters())
    for name, parameter in reference.parameters():
        expected = parameter.detach() - rate * parameter.grad
        torch.testing.assert_close(found[name].detach(), expected, rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_mean_over_images_and_skipped_ones_count_for_the_lineage() -> None:
    optimizer = replace(OPTIMIZER, warmup_epochs=100.0)
    rates: list[float] = []

    class Watched(RateSchedule):
        def rate(self, images_seen: int) -> float:
            rates.append(images_seen)
            return 1e-30

    loop = Loop(
        model=MODEL,
        optimizer=optimizer,
        rates=Watched(optimizer, 8, 64),
        device=CPU,
        precision="fp32",
    )
    batches = some_batches(3, skipped=2)
    trained = loop.run(new_state(), batches, 10)
    assert rates == [16, 22, 28]
    assert trained.images == 12
    assert trained.data_wait_s == 0.75
    losses = [loop.run(new_state(), [batch], 10).loss for batch in batches]
    assert trained.loss == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_pixels_become_normalised_planes_on_the_device() -> None:
    images_BHWC = torch.arange(2 * 2 * 2 * 3, dtype=torch.uint8).reshape(2, 2, 2, 3) * 10
    model = ModelConfig(pixel_mean=100.0, pixel_scale=50.0)
    pixels_BCHW = to_pixels(images_BHWC, model, CPU)
    assert pixels_BCHW.shape == (2, 3, 2, 2)
    assert pixels_BCHW.dtype == torch.float32
    assert float(pixels_BCHW[1, 2, 0, 1]) == pytest.approx(1.4)
    assert int(images_BHWC[1, 0, 1, 2]) == 170, "the input must stay as it is"
