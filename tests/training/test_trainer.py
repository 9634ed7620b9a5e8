from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from tiny_runs import EPOCH_IMAGES, tiny_config

from lfs_ray.config.sections import LossConfig
from lfs_ray.errors import RunError, TrainingError
from lfs_ray.losses.catalogue import LOSSES
from lfs_ray.losses.searched import GlobalShift
from lfs_ray.search.space import build_space
from lfs_ray.training.checkpoint import model_of
from lfs_ray.training.material import Material, open_material
from lfs_ray.training.scoring import embed
from lfs_ray.training.trainer import Trainer, TrialResult, TrialSpec

SPEC = TrialSpec(
    loss=LossConfig(scale=16.0),
    space="margin",
    theta=(0.2,),
    seed=1,
    stream_seed=2,
    init_seed=3,
    first_image=0,
    num_images=24,
    total_images=96,
)


@pytest.fixture
def trainer(faces: str, material: Material) -> Trainer:
    return Trainer(tiny_config(faces), material)


def frozen(trainer: Trainer) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in trainer.arrays().items()}


def numbers(result: TrialResult) -> tuple[float, float, float]:
    return result.score.reward, result.score.reward_se, result.trained.loss


def test_a_trial_is_a_function_of_its_spec(trainer: Trainer, material: Material) -> None:
    first = trainer.train(SPEC, None)
    weights = frozen(trainer)
    trainer.train(replace(SPEC, theta=(0.5,), init_seed=9), None)
    torch.rand(3)
    again = Trainer(trainer.config, material)
    assert numbers(again.train(SPEC, None)) == numbers(first)
    assert frozen(again) == weights
    assert first.trained.images == 24
    assert 0.0 <= first.score.reward <= 1.0


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, theta=(0.4,)),
        replace(SPEC, loss=LossConfig(scale=24.0)),
        replace(SPEC, stream_seed=5),
        replace(SPEC, init_seed=5),
        replace(SPEC, first_image=24),
        replace(SPEC, num_images=32),
        replace(SPEC, total_images=192),
    ],
)
def test_whatever_the_spec_says_reaches_the_weights(trainer: Trainer, other: TrialSpec) -> None:
    trainer.train(SPEC, None)
    before = frozen(trainer)
    trainer.train(other, None)
    assert frozen(trainer) != before


def test_the_trials_own_seed_is_not_in_the_weights(trainer: Trainer) -> None:
    # Only the bootstrap draws from it: common random numbers, and what makes a replay possible.
    trainer.train(SPEC, None)
    before = frozen(trainer)
    trainer.train(replace(SPEC, seed=99), None)
    assert frozen(trainer) == before


def test_the_reward_may_be_the_classification_of_held_out_images(faces: str) -> None:
    config = tiny_config(
        faces,
        data={"validation_split": "images", "validation_share": 0.5},
        reward={"metric": "top1 + 0.5*rank1"},
    )
    material = open_material(config)
    trainer = Trainer(config, material)
    found = trainer.train(replace(SPEC, num_images=160), None).score
    state = trainer._state
    assert state is not None
    images_KHWC, reward = material.reward.images_KHWC, config.reward
    embeddings = embed(state.backbone, images_KHWC, config.model, reward, trainer.device)
    centres = state.classifier.weight_CD.detach().numpy()
    cosines = embeddings @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    alike = embeddings @ embeddings.T - 2 * np.eye(len(embeddings))
    targets = material.reward.targets_K
    assert targets is not None
    top1 = np.mean(cosines.argmax(axis=1) == targets)
    rank1 = np.mean(targets[alike.argmax(axis=1)] == targets)
    assert found.reward == pytest.approx(top1 + 0.5 * rank1)
    assert found.reward_se > 0


def test_two_halves_of_a_lineage_are_the_whole(trainer: Trainer) -> None:
    trainer.train(replace(SPEC, num_images=48), None)
    whole = frozen(trainer)
    trainer.train(SPEC, None)
    parent = trainer.arrays()
    trainer.train(replace(SPEC, first_image=24, init_seed=77), parent, parent_name="p")
    assert frozen(trainer) == whole


RANDOM_LOSSES = {"elastic_arc", "elastic_cos", "random_margin"}
"""Their draws follow the seed of a trial, and two halves are two trials."""


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - RANDOM_LOSSES))
def test_state_and_own_parameters_of_every_loss_travel_with_the_parent(
    trainer: Trainer, name: str
) -> None:
    spaces = LOSSES[name].spaces
    theta = build_space(spaces[0], loss=name).default_start if spaces else ()
    spec = replace(SPEC, loss=LossConfig(name=name), theta=theta, space=(*spaces, "")[0])
    trainer.train(replace(spec, num_images=48), None)
    whole = frozen(trainer)
    trainer.train(spec, None)
    parent = trainer.arrays()
    trainer.train(replace(spec, first_image=24, init_seed=77), parent, parent_name="p")
    assert frozen(trainer) == whole


def test_epochs_end_within_a_trial(trainer: Trainer) -> None:
    result = trainer.train(replace(SPEC, first_image=EPOCH_IMAGES - 8, num_images=16), None)
    assert result.trained.images == 16


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_and_keeps_its_scaler(
    faces: str, material: Material, precision: str
) -> None:
    trainer = Trainer(tiny_config(faces, worker={"precision": precision}), material)
    result = trainer.train(replace(SPEC, num_images=48), None)
    assert result.trained.nonfinite_steps == 0
    assert ("scaler.scale" in trainer.arrays()) == (precision == "fp16")


def test_training_lowers_the_loss(trainer: Trainer) -> None:
    first = trainer.train(SPEC, None)
    parent = trainer.arrays()
    for start in (24, 48, 72):
        last = trainer.train(replace(SPEC, first_image=start), parent, parent_name="p")
        parent = trainer.arrays()
    assert last.trained.loss < first.trained.loss


def test_a_parent_of_another_model_is_refused(trainer: Trainer) -> None:
    with pytest.raises(RunError, match=r"^the parent must hold the model"):
        trainer.train(SPEC, {}, parent_name="the parent")


def test_a_loss_that_explodes_fails_the_trial(faces: str, material: Material) -> None:
    keys = {
        "learning_rate": 1e30,
        "warmup_epochs": 0.0,
        "clip_norm": 0.0,
        "max_nonfinite_steps": 0,
    }
    trainer = Trainer(tiny_config(faces, optimizer=keys), material)
    with pytest.raises(TrainingError, match=r"^at most 0 steps of a trial may be non-finite"):
        trainer.train(SPEC, None)


def test_a_checkpoint_says_what_model_it_is_of(trainer: Trainer) -> None:
    trainer.train(SPEC, None)
    assert model_of(trainer.facts(), name="c") == trainer.config.model
    assert trainer.facts()["sub_centers"] == 1
    one = LossConfig(name="sub_center_arcface", options=("sub_centers=2",))
    trainer.train(replace(SPEC, loss=one, theta=(), space=""), None)
    assert trainer.facts()["sub_centers"] == 2


def test_a_searched_loss_is_built_from_theta_in_its_space(trainer: Trainer) -> None:
    built = trainer.loss_of(SPEC)
    assert isinstance(built, GlobalShift)
    assert built.shift == pytest.approx(16.0 * 0.2)


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"in_memory": True}},
        {"worker": {"loader_threads": 3}},
        {"worker": {"loader_processes": 2}},
    ],
)
def test_wherever_images_are_decoded_trains_the_same(
    faces: str, material: Material, other: dict[str, Any]
) -> None:
    weights = []
    for changed in ({}, other):
        trainer = Trainer(tiny_config(faces, **changed), material)
        for first_image in (0, 24):
            trainer.train(replace(SPEC, first_image=first_image), None)
        weights.append(trainer.arrays())
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_configured_processes_decode(faces: str, material: Material) -> None:
    others = psutil.Process().children()
    trainer = Trainer(tiny_config(faces, worker={"loader_processes": 2}), material)
    for _ in range(2):
        trainer.train(SPEC, None)
    ours = [process for process in psutil.Process().children() if process not in others]
    assert len(ours) == 2
    del trainer
    assert not psutil.wait_procs(ours, 20)[1]
