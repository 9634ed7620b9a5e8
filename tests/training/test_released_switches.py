"""Switches of the released code that training itself obeys: each is what it says, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_runs import EPOCH_IMAGES, tiny_config

from lfs_ray.config.compat import SWITCHES, with_switches
from lfs_ray.config.sections import LossConfig, OptimizerConfig, PopulationConfig, SearchConfig
from lfs_ray.losses.probability_space import ProbabilitySpace
from lfs_ray.training.checkpoint import model_of
from lfs_ray.training.material import Material
from lfs_ray.training.trainer import Trainer, TrialResult, TrialSpec

SPEC = TrialSpec(
    loss=LossConfig(scale=16.0),
    space="margin",
    theta=(0.2,),
    seed=1,
    stream_seed=2,
    init_seed=3,
    first_image=24,
    num_images=EPOCH_IMAGES,
    total_images=4 * EPOCH_IMAGES,
)
STEPS = {"schedule": "milestones", "milestones_epochs": [1.25], "warmup_epochs": 0.0}
SAME_AS_SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "weight_decay_1e-4": {"optimizer": {"weight_decay": 1e-4}},
    "lfs_pixels": {"model": {"colour": "bgr", "pixel_scale": 128.0, "pixel_mean": 127.5}},
    "lfw_reward": {"reward": {"rule": "lfs"}},
    "early_lr_step": {"optimizer": {**STEPS, "milestones_epochs": [0.25]}},
}
IN_TRAINING = ("duplicate_identity_weight", "repeat_first_permutation")


def outcome(trainer: Trainer, result: TrialResult) -> tuple[object, ...]:
    numbers = result.score.reward, result.score.reward_se, result.trained.loss
    return numbers, {name: array.tobytes() for name, array in trainer.arrays().items()}


def trained(faces: str, material: Material, *switches: str, **sections: Any) -> tuple[object, ...]:
    trainer = Trainer(tiny_config(faces, **sections), material)
    spec = replace(SPEC, switches=frozenset(switches))
    return *outcome(trainer, trainer.train(spec, None)), trainer.facts()


@pytest.fixture(scope="module")
def odd() -> dict[str, Any]:
    """Settings that every switch differs from."""
    return {"model": {"pixel_scale": 100.0}, "optimizer": STEPS}


@pytest.mark.parametrize("name", SAME_AS_SETTINGS)
def test_a_switch_over_the_shared_sections_is_its_settings(
    faces: str, material: Material, odd: dict[str, Any], name: str
) -> None:
    switched = trained(faces, material, name, **odd)
    settings = {key: {**odd.get(key, {}), **keys} for key, keys in SAME_AS_SETTINGS[name].items()}
    # Pairs are decoded in the run's colour: here in that of the settings.
    config = tiny_config(faces, **{**odd, **settings})
    if config.model.colour == "bgr":
        images = np.ascontiguousarray(material.reward.images_KHWC[..., ::-1])
        material = replace(material, reward=replace(material.reward, images_KHWC=images))
    assert trained(faces, material, **{**odd, **settings}) == switched
    assert trained(faces, material, **odd) != switched


@pytest.mark.parametrize("name", IN_TRAINING)
def test_a_switch_of_training_reaches_the_weights(
    faces: str, material: Material, name: str
) -> None:
    assert trained(faces, material, name)[1] != trained(faces, material)[1]


def test_what_is_no_business_of_training_changes_nothing(faces: str, material: Material) -> None:
    others = SWITCHES.keys() - SAME_AS_SETTINGS.keys() - {*IN_TRAINING}
    assert trained(faces, material, *others) == trained(faces, material)


def test_a_trial_without_switches_is_as_before(faces: str, material: Material) -> None:
    trainer = Trainer(tiny_config(faces), material)
    plain = outcome(trainer, trainer.train(SPEC, None))
    trainer.train(replace(SPEC, switches=frozenset(SWITCHES)), None)
    model = model_of(trainer.facts(), name="c")
    assert (model.colour, model.pixel_scale) == ("bgr", 128.0)
    assert outcome(trainer, trainer.train(SPEC, None)) == plain
    assert model_of(trainer.facts(), name="c") == trainer.config.model


def test_the_second_epoch_repeats_the_first(
    faces: str, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(tiny_config(faces, data={"flip_probability": 0.0}), material)
    orders = {}
    for switches in (frozenset[str](), frozenset({"repeat_first_permutation"})):
        for start in (0, EPOCH_IMAGES, 2 * EPOCH_IMAGES):
            spec = replace(SPEC, switches=switches, first_image=start)
            found = trainer._batches(spec, trainer.config)
            orders[len(switches), start // EPOCH_IMAGES] = [
                batch.images_BHWC.tobytes() for batch in found
            ]
    assert orders[1, 0] == orders[1, 1] == orders[0, 0]
    assert orders[1, 2] == orders[0, 1] != orders[0, 0]


@pytest.mark.parametrize("name", ["global", "local"])
def test_the_loss_in_probability_space_is_built(faces: str, material: Material, name: str) -> None:
    search = SearchConfig(compat=("probability_space_loss", "released_scale"))
    given = PopulationConfig(search=search, loss=LossConfig(name=name, scale=16.0))
    settled = with_switches(given, OptimizerConfig())
    theta = (-0.1,) if name == "global" else (-0.1,) * 10
    trainer = Trainer(tiny_config(faces), material)
    spec = replace(SPEC, loss=settled.loss, space=settled.search.space, theta=theta)
    assert isinstance(trainer.loss_of(spec), ProbabilitySpace)
    assert not isinstance(
        trainer.loss_of(replace(spec, loss=replace(settled.loss, options=()))), ProbabilitySpace
    )


def test_duplicate_identities_weigh_more_in_the_gradient_alone(
    faces: str, material: Material
) -> None:
    trainer = Trainer(tiny_config(faces), material)
    spec = replace(SPEC, switches=frozenset({"duplicate_identity_weight"}))
    assert trainer.loss_of(spec).duplicate_identity_weight
    assert not trainer.loss_of(SPEC).duplicate_identity_weight
