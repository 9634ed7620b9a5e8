"""What can be learnt from the synthetic faces, with the example's own training.

The bars leave room for seeds: measured accuracies stand beside them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfs_ray.config.machine import WorkerConfig
from lfs_ray.config.sections import Config, DataConfig, LossConfig, ModelConfig, OptimizerConfig
from lfs_ray.data.synthetic import SyntheticFaces, synthesize
from lfs_ray.seeds import derive_seed
from lfs_ray.training.material import Material, open_material
from lfs_ray.training.trainer import Trainer, TrialSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # minutes on a free core

IMAGES = 24_000
SEEDS = range(5)
NORMFACE = LossConfig(name="normface", scale=64.0)
AM_SOFTMAX = LossConfig(name="am_softmax", scale=64.0, margin=0.2)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Material]:
    """120 people to train on, 60 others to verify."""
    path: Path = tmp_path_factory.mktemp("faces") / "set"
    synthesize(SyntheticFaces(180, 20, size_px=48), str(path))
    config = Config(
        data=DataConfig(train=(str(path),), validation_share=1 / 3, validation_pairs_per_fold=300),
        model=ModelConfig(input_size_px=48),
        optimizer=OptimizerConfig(batch_size=32),
        worker=WorkerConfig(executor="serial", device="cpu"),
    )
    return config, open_material(config)


def accuracy(
    config: Config, material: Material, loss: LossConfig, seed: int, images: int = IMAGES
) -> float:
    """Verification accuracy of unseen people after one training."""
    spec = TrialSpec(
        loss=loss,
        space="margin",
        theta=(),
        seed=derive_seed(seed, "trial"),
        stream_seed=derive_seed(seed, "stream"),
        init_seed=derive_seed(seed, "init"),
        first_image=0,
        num_images=images,
        total_images=images,
    )
    return Trainer(config, material).train(spec, None).score.reward


def test_margin_helps_and_nothing_saturates(material: tuple[Config, Material]) -> None:
    plain = [accuracy(*material, NORMFACE, seed) for seed in SEEDS]
    margin = [accuracy(*material, AM_SOFTMAX, seed) for seed in SEEDS]
    wins = sum(with_margin > without for without, with_margin in zip(plain, margin, strict=True))
    assert wins >= 4, f"NormFace {plain}, AM-Softmax {margin}"
    assert np.mean(margin) > np.mean(plain) + 0.01
    assert all(0.72 < value < 0.92 for value in plain)
    assert all(0.80 < value < 0.92 for value in margin)


def test_shuffled_labels_teach_next_to_nothing(material: tuple[Config, Material]) -> None:
    config, true = material
    labels = np.random.default_rng(0).permutation(true.faces.labels)
    shuffled = replace(true, faces=replace(true.faces, labels=labels))
    assert accuracy(config, shuffled, AM_SOFTMAX, seed=0) <= 0.60
    # Nor does the shape of the net tell people apart: one batch at a learning rate near zero.
    assert accuracy(config, true, AM_SOFTMAX, seed=0, images=32) < 0.65
