from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from lfs_ray.data import colour_change
from lfs_ray.data.decode import Pixels
from lfs_ray.data.resampling import FEW, Room


def jitter_colour(images: Pixels, factors: np.ndarray, colour: str = "rgb") -> Pixels:
    """All images, in groups that the room has room for."""
    room, changed = Room(images.shape[1]), images.copy()
    for start in range(0, len(images), FEW):
        places = range(start, min(start + FEW, len(images)))
        colour_change.jitter_colour(changed, places, factors[places], room, colour=colour)
    return changed


def to_grey(images: Pixels, colour: str = "rgb") -> Pixels:
    room, changed = Room(images.shape[1]), images.copy()
    for start in range(0, len(images), FEW):
        places = range(start, min(start + FEW, len(images)))
        colour_change.to_grey(changed, places, room, colour=colour)
    return changed


def noise(count: int, size: int = 20) -> Pixels:
    return np.random.default_rng(size).integers(0, 256, (count, size, size, 3), np.uint8)


def one_by_one(image: Pixels, brightness: float, contrast: float, saturation: float) -> Pixels:
    changed = Image.fromarray(image)
    changed = ImageEnhance.Brightness(changed).enhance(brightness)
    changed = ImageEnhance.Contrast(changed).enhance(contrast)
    return np.asarray(ImageEnhance.Color(changed).enhance(saturation))


def test_factors_are_pillows() -> None:
    """Which cuts off decimals at each of three steps where we round."""
    images = noise(9)
    factors = np.random.default_rng(0).uniform(0.0, 2.0, (9, 3))
    ours = jitter_colour(images, factors)
    for image, found, three in zip(images, ours, factors.tolist(), strict=True):
        difference = np.abs(found.astype(int) - one_by_one(image, *three))
        assert difference.max() <= 6
        assert difference.mean() < 2.5


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.7])
def test_each_factor_alone_is_pillows(which: int, factor: float) -> None:
    images = noise(3)
    three = [1.0, 1.0, 1.0]
    three[which] = factor
    ours = jitter_colour(images, np.array([three] * 3))
    for image, found in zip(images, ours, strict=True):
        assert np.abs(found.astype(int) - one_by_one(image, *three)).max() <= 1


def test_factors_of_one_change_nothing() -> None:
    images = noise(5)
    assert np.array_equal(jitter_colour(images, np.ones((5, 3))), images)


def test_grey_is_pillows_and_the_same_in_all_channels() -> None:
    images = noise(7)
    for image, found in zip(images, to_grey(images), strict=True):
        alone = np.asarray(Image.fromarray(image).convert("L"))
        assert np.array_equal(found, np.repeat(alone[..., None], 3, axis=2))
    assert np.array_equal(to_grey(to_grey(images)), to_grey(images))


def test_no_saturation_is_grey() -> None:
    images = noise(4)
    factors = np.array([[1.0, 1.0, 0.0]] * 4)
    assert np.array_equal(jitter_colour(images, factors), to_grey(images))


def test_bgr_is_rgb_reversed() -> None:
    images = noise(5)
    factors = np.random.default_rng(1).uniform(0.5, 1.5, (5, 3))
    swapped = np.ascontiguousarray(images[..., ::-1])
    assert np.array_equal(
        jitter_colour(swapped, factors, colour="bgr"), jitter_colour(images, factors)[..., ::-1]
    )
    assert np.array_equal(to_grey(swapped, colour="bgr"), to_grey(images))
    assert not np.array_equal(to_grey(swapped), to_grey(images))


def test_images_do_not_touch_each_other() -> None:
    images = noise(6)
    factors = np.random.default_rng(2).uniform(0.0, 2.0, (6, 3))
    together = jitter_colour(images, factors)
    for number in range(6):
        one = slice(number, number + 1)
        assert np.array_equal(jitter_colour(images[one], factors[one]), together[one])
    places = [4, 1]
    some = images.copy()
    colour_change.jitter_colour(some, places, factors[places], Room(20))
    assert np.array_equal(some[places], together[places])
    assert np.array_equal(some[[0, 2, 3, 5]], images[[0, 2, 3, 5]])
