"""The learning rate as a function of the images seen in the lineage: nothing to restore."""

from __future__ import annotations

from dataclasses import dataclass

from lfs_ray.config.sections import OptimizerConfig


@dataclass(frozen=True, slots=True)
class RateSchedule:
    """Warm-up, then decay; lengths in images.

    Args:
        config: the section `optimizer`.
        epoch_images: images of one pass over the training set.
        total_images: length of the whole lineage, where `polynomial` ends unless told otherwise.
    """

    config: OptimizerConfig
    epoch_images: int
    total_images: int

    def rate(self, images_seen: int) -> float:
        """Learning rate of the step that brings the lineage to `images_seen` images (> 0)."""
        warmup = self.config.warmup_epochs * self.epoch_images
        if images_seen < warmup:
            return self.config.learning_rate * images_seen / warmup
        return self.config.learning_rate * self._decay(images_seen, warmup)

    def _decay(self, images_seen: int, warmup: float) -> float:
        config = self.config
        if config.schedule == "constant":
            return 1.0
        epochs = images_seen / self.epoch_images
        if config.schedule == "milestones":
            passed = sum(epochs > milestone for milestone in config.milestones_epochs)
            return float(config.milestone_factor**passed)
        end = self.total_images
        if config.decay_epochs is not None:
            end = round(config.decay_epochs * self.epoch_images)
        left = (end - images_seen) / max(end - warmup, 1.0)
        return float(max(left, 0.0) ** config.polynomial_power)
