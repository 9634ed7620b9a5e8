"""The training loop of one trial: batches -> steps, with guards against non-finite numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lfs_ray.config.sections import ModelConfig, OptimizerConfig
from lfs_ray.data.loader import Batch
from lfs_ray.errors import TrainingError
from lfs_ray.training.device import autocast
from lfs_ray.training.head import head_loss
from lfs_ray.training.schedule import RateSchedule
from lfs_ray.training.state import TrainingState


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a training loop did."""

    loss: float
    """Mean over the images of the finite steps."""
    images: int
    train_s: float
    data_wait_s: float
    nonfinite_steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """A training loop for one device and configuration."""

    model: ModelConfig
    optimizer: OptimizerConfig
    rates: RateSchedule
    device: torch.device
    precision: str

    def run(self, state: TrainingState, batches: Iterable[Batch], images_seen: int) -> Trained:
        """Train on `batches`; the lineage has seen `images_seen` images before.

        Raises:
            TrainingError: more than `optimizer.max_nonfinite_steps` steps were not finite.
        """
        began = time.perf_counter()
        total, images, waited_s, skipped = 0.0, 0, 0.0, 0
        for part in state.parts.values():
            part.train()
        for batch in batches:
            size = len(batch.labels_B)
            images_seen += size + batch.skipped
            waited_s += batch.wait_s
            loss = self._guarded(state, batch, self.rates.rate(images_seen))
            if math.isfinite(loss):
                total, images = total + loss * size, images + size
                continue
            skipped += 1
            if skipped > self.optimizer.max_nonfinite_steps:
                raise TrainingError(self._refusal(state, skipped, loss, images_seen))
        return Trained(
            loss=total / images if images else math.nan,
            images=images,
            train_s=time.perf_counter() - began,
            data_wait_s=waited_s,
            nonfinite_steps=skipped,
        )

    def _guarded(self, state: TrainingState, batch: Batch, rate: float) -> float:
        """One step; where it was skipped, the statistics it left in the buffers are undone."""
        buffers = [buffer for part in state.parts.values() for buffer in part.buffers()]
        before = [buffer.clone() for buffer in buffers]
        loss = self._step(state, batch, rate)
        if not math.isfinite(loss):
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
        return loss

    def _step(self, state: TrainingState, batch: Batch, rate: float) -> float:
        """One step of SGD; NaN when it was skipped since loss or gradient was not finite."""
        images_BCHW = to_pixels(torch.from_numpy(batch.images_BHWC), self.model, self.device)
        labels_B = torch.from_numpy(batch.labels_B).to(self.device, non_blocking=True)
        with autocast(self.device, self.precision):
            embedding_BD = state.backbone(images_BCHW)
        chunk = self.model.classifier_chunk if self.model.classifier == "chunked" else None
        loss = head_loss(state.classifier, state.loss, embedding_BD, labels_B, chunk=chunk)
        state.optimizer.zero_grad(set_to_none=True)
        value = float(loss.detach())
        if not math.isfinite(value):
            return math.nan
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        state.scaler.unscale_(state.optimizer)
        finite = math.isfinite(self._clip([parameter for _, parameter in state.parameters()]))
        # A scaler that overflows skips the step itself and lowers its scale: no failure while
        # there is something to lower. One that is off has scale 1.
        overflow = state.scaler.get_scale() > 1.0
        if finite or state.scaler.is_enabled():
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            state.scaler.step(state.optimizer)
            state.scaler.update()
        return value if finite or overflow else math.nan

    def _clip(self, parameters: list[torch.nn.Parameter]) -> float:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.optimizer.clip_norm > 0:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.optimizer.clip_norm, norm)
        return float(norm)

    def _refusal(self, state: TrainingState, skipped: int, loss: float, images_seen: int) -> str:
        largest = max(float(parameter.detach().norm()) for _, parameter in state.parameters())
        return (
            f"at most {self.optimizer.max_nonfinite_steps} steps of a trial may be non-finite, "
            f"found {skipped} (loss {loss}, learning rate {self.rates.rate(images_seen):.3g}, "
            f"lineage image {images_seen}, largest weight norm {largest:.3g}): lower "
            f"optimizer.learning_rate or search.margin_max"
        )


def to_pixels(images_BHWC: Tensor, model: ModelConfig, device: torch.device) -> Tensor:
    """Uint8 pixels (B, H, W, 3) -> normalised (B, 3, H, W); bytes travel, not floats."""
    if device.type == "cuda":
        images_BHWC = images_BHWC.pin_memory()
    images_BCHW = images_BHWC.to(device, non_blocking=True).permute(0, 3, 1, 2).to(torch.float32)
    return images_BCHW.sub_(model.pixel_mean).div_(model.pixel_scale)
