from __future__ import annotations

import zlib
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfs_ray.data.augment import Augmentation, AugmentedStream, crop, low_sides
from lfs_ray.data.colour_change import to_grey
from lfs_ray.data.decode import Pixels
from lfs_ray.data.resampling import FEW, Room

ALL = Augmentation(
    crop_probability=0.5,
    low_resolution_probability=0.5,
    colour_jitter_probability=0.5,
    grey_probability=0.3,
)
CHANCES = [item.name for item in fields(Augmentation) if item.name.endswith("_probability")]
NOTHING_MUCH = {
    "crop_probability": {"crop_scale_min": 1.0},
    "low_resolution_probability": {"low_resolution_min": 1.0},
    "colour_jitter_probability": {"colour_jitter_strength": 0.0},
}


def noise(count: int, size: int = 16) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (count, size, size, 3), np.uint8)


def changed(
    augmentation: Augmentation,
    images: Pixels,
    *,
    seed: int = 1,
    start: int = 0,
    colour: str = "rgb",
    offsets: np.ndarray | None = None,
) -> Pixels:
    result = images.copy()
    offsets = np.arange(len(images)) if offsets is None else offsets
    AugmentedStream(augmentation, seed, start, colour=colour).change(result, offsets)
    return result


def share_changed(augmentation: Augmentation, count: int = 4000) -> float:
    images = np.tile(noise(1, 8), (count, 1, 1, 1))
    return float((changed(augmentation, images) != images).any(axis=(1, 2, 3)).mean())


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**40),
    st.lists(st.integers(0, 24), min_size=2, max_size=5).map(sorted),
)
def test_an_image_is_changed_by_its_position_alone(seed: int, start: int, cuts: list[int]) -> None:
    """Not by the batch it comes in, where a trial begins, or images left out."""
    images = noise(24)
    whole = changed(ALL, images, seed=seed, start=start)
    for first, last in pairwise(cuts):
        part = slice(first, last)
        again = changed(ALL, images[part], seed=seed, start=start + first)
        assert np.array_equal(again, whole[part])
        offsets = np.arange(first, last)
        again = changed(ALL, images[part], seed=seed, start=start, offsets=offsets)
        assert np.array_equal(again, whole[part])
    kept = np.array([2, 3, 7, 20])
    again = changed(ALL, images[kept], seed=seed, start=start, offsets=kept)
    assert np.array_equal(again, whole[kept])


def test_seeds_and_positions_differ() -> None:
    images = np.tile(noise(1), (64, 1, 1, 1))
    one, two = changed(ALL, images, seed=1), changed(ALL, images, seed=2)
    assert (one != two).any(axis=(1, 2, 3)).mean() > 0.6
    kinds = {image.tobytes() for image in changed(ALL, images)}
    assert len(kinds) > 40


@pytest.mark.parametrize("name", CHANCES)
@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_as_many_are_changed_as_asked(name: str, probability: float) -> None:
    tolerance = 4 * np.sqrt(probability * (1 - probability) / 4000)
    share = share_changed(Augmentation(**{name: probability}))
    # A part or a side may by chance be the whole: seldom, on eight pixels.
    slack = 0.15 * probability if name in ("crop_probability", "low_resolution_probability") else 0
    assert probability - tolerance - slack < share < probability + tolerance


@pytest.mark.parametrize("name", CHANCES)
def test_certain_and_impossible(name: str) -> None:
    assert share_changed(Augmentation(**{name: 0.0})) == 0.0
    assert share_changed(Augmentation(**{name: 1.0})) > 0.85


@pytest.mark.parametrize("name", NOTHING_MUCH)
def test_without_strength_nothing_changes(name: str) -> None:
    images = noise(40)
    augmentation = Augmentation(**{name: 1.0}, **NOTHING_MUCH[name])
    assert np.array_equal(changed(augmentation, images), images)


@pytest.mark.parametrize("name", CHANCES)
def test_one_change_does_not_decide_another(name: str) -> None:
    """Grey images are those of grey alone, whatever else is on; the rest likewise."""
    images = np.tile(noise(1), (200, 1, 1, 1))
    alone = changed(replace(Augmentation(), **{name: 0.4}), images)
    hit = (alone != images).any(axis=(1, 2, 3))
    others = {other: 0.0 if other == name else 0.5 for other in CHANCES}
    without = changed(Augmentation(**others), images)
    both = changed(Augmentation(**{**others, name: 0.4}), images)
    same = (both == without).all(axis=(1, 2, 3))
    assert same[~hit].all()
    untouched = (without == images).all(axis=(1, 2, 3))
    assert np.array_equal(both[untouched], alone[untouched])


def test_changes_are_independent() -> None:
    images = np.tile(noise(1), (4000, 1, 1, 1))
    hits = [
        (changed(Augmentation(**{name: 0.5}), images[:, :8, :8]) != images[:, :8, :8])
        .any(axis=(1, 2, 3))
        .astype(float)
        for name in CHANCES
    ]
    correlation = np.corrcoef(hits)
    assert np.abs(correlation - np.eye(len(CHANCES))).max() < 4.5 / np.sqrt(4000)


def test_order_is_crop_resolution_colour_grey() -> None:
    images = noise(60)
    certain = Augmentation(**dict.fromkeys(CHANCES, 1.0))
    expected = images
    for name in (
        "crop_probability",
        "low_resolution_probability",
        "colour_jitter_probability",
        "grey_probability",
    ):
        expected = changed(Augmentation(**{name: 1.0}), expected)
    assert np.array_equal(changed(certain, images), expected)


def test_bgr_images_are_changed_as_rgb_ones() -> None:
    images = noise(60)
    swapped = np.ascontiguousarray(images[..., ::-1])
    assert np.array_equal(changed(ALL, swapped, colour="bgr"), changed(ALL, images)[..., ::-1])


def test_golden_changes() -> None:
    """Runs of older versions are resumed: these never change."""
    images = np.tile(noise(1), (24, 1, 1, 1))
    expected = {
        "crop_probability": ([0, 2, 4, 6, 7, 8, 10, 12, 13, 14, 16, 22], 3176234329),
        "low_resolution_probability": ([2, 3, 6, 9, 13, 18, 21, 22, 23], 3660194199),
        "colour_jitter_probability": ([2, 7, 10, 13, 14, 17, 22], 241379037),
        "grey_probability": ([0, 4, 9, 11, 12, 15, 16, 18], 1320672947),
    }
    for name, (places, checksum) in expected.items():
        found = changed(Augmentation(**{name: 0.4}), images, seed=5, start=100)
        assert np.flatnonzero((found != images).any(axis=(1, 2, 3))).tolist() == places
        assert zlib.crc32(found.tobytes()) == checksum


def test_crops_lie_within_their_bounds() -> None:
    """Of an image of its own coordinates the corners of the part can be read."""
    size = 100
    y, x = np.mgrid[:size, :size]
    image = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
    images = np.tile(image, (500, 1, 1, 1))
    chances = np.random.default_rng(0).random((500, 4))
    room = Room(size)
    for start in range(0, len(images), FEW):
        places = range(start, start + FEW)
        crop(images, places, chances[places], 0.3, room)
    parts = images.astype(int)
    widths, heights = (parts[:, -1, -1, k] - parts[:, 0, 0, k] + 1 for k in (0, 1))
    areas, aspects = widths * heights / size**2, widths / heights
    assert areas.min() > 0.28
    assert areas.max() > 0.97
    assert abs(areas.mean() - 0.65) < 4 * 0.7 / np.sqrt(12 * 500)
    assert aspects.max() < 1.36
    assert aspects.min() > 1 / 1.36
    assert abs(np.log(aspects).mean()) < 0.02
    for k, lengths in ((0, widths), (1, heights)):
        room = size - lengths
        firsts = parts[:, 0, 0, k][room > 10] / room[room > 10]
        assert firsts.min() < 0.05
        assert firsts.max() > 0.95
        assert abs(firsts.mean() - 0.5) < 0.06


def test_low_sides_are_uniform_whole_pixels() -> None:
    sides = low_sides(112, np.random.default_rng(0).random(20_000), 0.25)
    assert (sides.min(), sides.max()) == (28, 112)
    assert abs(sides.mean() - 70) < 1
    assert low_sides(5, np.array([0.999]), 0.01).tolist() == [1]


def test_jitter_uses_the_whole_range_of_factors() -> None:
    """A grey image shows the factor of its brightness."""
    images = np.full((3000, 4, 4, 3), 100, np.uint8)
    wanted = Augmentation(colour_jitter_probability=1.0, colour_jitter_strength=0.4)
    levels = changed(wanted, images)[:, 0, 0, 0]
    assert levels.min() in (60, 61)
    assert levels.max() in (139, 140)
    assert abs(levels.mean() - 100) < 2


def test_grey_is_the_luma() -> None:
    images = noise(4)
    grey = changed(Augmentation(grey_probability=1.0), images)
    to_grey(images, range(4), Room(16))
    assert np.array_equal(grey, images)


def test_nothing_to_change() -> None:
    assert Augmentation().changes_nothing
    assert not ALL.changes_nothing
    for name in CHANCES:
        assert not Augmentation(**{name: 0.1}).changes_nothing
    assert changed(ALL, noise(0)).shape == (0, 16, 16, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_probability": 1.1},
        {"grey_probability": -0.1},
        {"low_resolution_probability": float("nan")},
        {"crop_scale_min": 0.0},
        {"low_resolution_min": 0.0},
        {"colour_jitter_strength": 2.0},
    ],
)
def test_impossible_augmentations(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)
