"""The images of a trial: changed as the configuration says, by their place in the stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_runs import EPOCH_IMAGES, tiny_config

from lfs_ray.config.sections import LossConfig
from lfs_ray.data.colour_change import to_grey
from lfs_ray.data.resampling import Room
from lfs_ray.training.material import Material
from lfs_ray.training.trainer import Trainer, TrialSpec

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
ALL = {
    "crop_probability": 0.5,
    "low_resolution_probability": 0.5,
    "colour_jitter_probability": 0.5,
    "grey_probability": 0.3,
}


def images_of(
    faces: str, material: Material, spec: TrialSpec = SPEC, **sections: Any
) -> NDArray[np.uint8]:
    trainer = Trainer(tiny_config(faces, **sections), material)
    found = trainer._batches(spec, trainer.config)
    return np.concatenate([batch.images_BHWC for batch in found])


def test_members_of_a_round_see_the_same_images(faces: str, material: Material) -> None:
    one = images_of(faces, material, data=ALL)
    other = replace(SPEC, theta=(0.4,), seed=77, init_seed=88)
    assert np.array_equal(images_of(faces, material, other, data=ALL), one)
    later = replace(SPEC, stream_seed=3)
    assert not np.array_equal(images_of(faces, material, later, data=ALL), one)


def test_two_short_trials_are_one_long_one(faces: str, material: Material) -> None:
    whole = images_of(faces, material, data=ALL)
    half = SPEC.num_images // 2
    first = replace(SPEC, num_images=half)
    second = replace(SPEC, first_image=SPEC.first_image + half, num_images=half)
    parts = [images_of(faces, material, spec, data=ALL) for spec in (first, second)]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("name", ALL)
def test_each_chance_reaches_the_images(faces: str, material: Material, name: str) -> None:
    plain = images_of(faces, material)
    changed = images_of(faces, material, data={name: 0.5})
    share = (changed != plain).any(axis=(1, 2, 3)).mean()
    assert 0.25 < share < 0.75


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("crop_probability", "crop_scale_min"),
        ("low_resolution_probability", "low_resolution_min"),
        ("colour_jitter_probability", "colour_jitter_strength"),
    ],
)
def test_each_strength_reaches_the_images(
    faces: str, material: Material, name: str, key: str
) -> None:
    plain = images_of(faces, material)
    none = 0.0 if key.endswith("strength") else 1.0
    assert np.array_equal(images_of(faces, material, data={name: 1.0, key: none}), plain)


def test_none_is_on_by_default(faces: str, material: Material) -> None:
    trainer = Trainer(tiny_config(faces), material)
    assert trainer._augmented(SPEC, trainer.config) is None
    off = dict.fromkeys(ALL, 0.0)
    assert np.array_equal(images_of(faces, material, data=off), images_of(faces, material))


@pytest.mark.parametrize("in_memory", [False, True])
def test_grey_is_that_of_the_models_colour_order(
    faces: str, material: Material, in_memory: bool
) -> None:
    data = {"grey_probability": 1.0, "in_memory": in_memory}
    rgb = images_of(faces, material, data=data)
    bgr = images_of(faces, material, data=data, model={"colour": "bgr"})
    assert np.array_equal(rgb, bgr)
    plain = images_of(faces, material)
    for place in range(len(plain)):
        to_grey(plain, [place], Room(plain.shape[1]))
    assert np.array_equal(rgb, plain)
