from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lfs_ray.data import resampling
from lfs_ray.data.decode import Pixels
from lfs_ray.data.resampling import FEW, Room
from lfs_ray.data.resampling_weights import FILTERS, low_resolution_weights, write_crop_weights

PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
UNIT = 2.0**-15


def crop_weights(first_N: np.ndarray, length_N: np.ndarray, size: int) -> np.ndarray:
    weights_NSS = np.full((len(first_N), size, size), np.nan, np.float32)
    write_crop_weights(np.asarray(first_N), np.asarray(length_N), weights_NSS)
    return weights_NSS


def resample(images: Pixels, rows: np.ndarray, columns: np.ndarray) -> Pixels:
    """All images, in groups that the room has room for, backwards."""
    room, changed = Room(images.shape[1]), images.copy()
    for start in reversed(range(0, len(images), FEW)):
        places = range(start, min(start + FEW, len(images)))
        room.rows_NSS[: len(places)] = rows[places]
        room.columns_NSS[: len(places)] = columns[places]
        resampling.resample(changed, places, room)
    return changed


def noise(count: int, size: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def smooth(count: int, size: int) -> Pixels:
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin(5 * x + 3 * number * y + number) for number in range(3 * count)]
    pixels = (127 + 120 * np.stack(waves)).astype(np.uint8)
    return pixels.reshape(count, 3, size, size).transpose(0, 2, 3, 1)


def difference(one: Pixels, two: Pixels) -> np.ndarray:
    return np.abs(one.astype(int) - two.astype(int))


@pytest.mark.parametrize("size", [16, 37, 112])
def test_a_crop_is_pillows(size: int) -> None:
    images = noise(9, size)
    rng = np.random.default_rng(1)
    widths, heights = rng.integers(1, size + 1, (2, 9))
    lefts, tops = (rng.random((2, 9)) * (size + 1 - np.array([widths, heights]))).astype(int)
    rows, columns = crop_weights(tops, heights, size), crop_weights(lefts, widths, size)
    ours = resample(images, rows, columns)
    for number in range(9):
        left, top = int(lefts[number]), int(tops[number])
        part = (left, top, left + int(widths[number]), top + int(heights[number]))
        cut = Image.fromarray(images[number]).crop(part)
        alone = np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))
        assert difference(ours[number], alone).max() <= 2  # halves are rounded to even, not up
        assert difference(ours[number], alone).mean() < 0.2


@pytest.mark.parametrize("up", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("down", sorted(FILTERS))
def test_low_resolution_is_pillows(down: str, up: str) -> None:
    """But for the pixels in between, which Pillow rounds."""
    size, lows = 47, [1, 3, 9, 11, 23, 33, 45, 47]  # no pixel lies on the border of a filter
    images = smooth(len(lows), size)
    matrices = np.stack([low_resolution_weights(size, low, down, up) for low in lows])
    ours = resample(images, matrices, matrices)
    for low, image, found in zip(lows, images, ours, strict=True):
        small = Image.fromarray(image).resize((low, low), PILLOW[down])
        alone = np.asarray(small.resize((size, size), PILLOW[up]))
        assert difference(found, alone).max() <= 2
        assert difference(found, alone).mean() < 0.6


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_noise_is_filtered_as_by_pillow(name: str) -> None:
    """One way only: reduction by one filter, enlargement by the nearest pixel."""
    images = noise(4, 60)
    matrix = np.stack([low_resolution_weights(60, 20, name, "nearest")] * 4)
    ours = resample(images, matrix, matrix)[:, 1::3, 1::3]
    for image, found in zip(images, ours, strict=True):
        alone = np.asarray(Image.fromarray(image).resize((20, 20), PILLOW[name]))
        assert difference(found, alone).max() <= 1


@given(st.data())
@settings(max_examples=40)
def test_weights_keep_sums_exact(data: st.DataObject) -> None:
    """What the exactness of the products rests on: multiples of 2**-15, rows that sum up to 1."""
    size = data.draw(st.integers(1, 64))
    low = data.draw(st.integers(1, size))
    names = st.sampled_from(sorted(FILTERS))
    matrix = low_resolution_weights(size, low, data.draw(names), data.draw(names))
    length = data.draw(st.integers(1, size))
    first = data.draw(st.integers(0, size - length))
    (crop,) = crop_weights(np.array([first]), np.array([length]), size)
    for weights in (matrix.astype(np.float64), crop.astype(np.float64)):
        assert (weights / UNIT == np.rint(weights / UNIT)).all()
        assert (weights.sum(axis=1) == 1).all()
        assert np.abs(weights).sum(axis=1).max() < 2
    outside = np.r_[crop[:, :first].ravel(), crop[:, first + length :].ravel()]
    assert not outside.any()


@pytest.mark.parametrize("size", [3, 16, 35, 112, 130])
def test_products_are_exact(size: int) -> None:
    """Against float64, which has digits to spare; blocks, stretches and groups do not show."""
    images = noise(7, size, seed=size)
    rng = np.random.default_rng(size)
    lows = rng.integers(1, size + 1, 7).tolist()
    rows = np.stack([low_resolution_weights(size, low, "bicubic", "bicubic") for low in lows])
    lengths = rng.integers(1, size + 1, 7)
    columns = crop_weights(size - lengths, lengths, size)
    across = np.einsum("nvw,nhwc->nhvc", columns.astype(float), images.astype(float))
    across = np.clip(np.rint(across), 0, 255)
    down = np.clip(np.rint(np.einsum("nuh,nhvc->nuvc", rows.astype(float), across)), 0, 255)
    assert np.array_equal(resample(images, rows, columns), down.astype(np.uint8))


def test_the_whole_image_is_left_as_it_is() -> None:
    images = noise(5, 30)
    whole = crop_weights(np.zeros(5, int), np.full(5, 30), 30)
    assert np.array_equal(resample(images, whole, whole), images)
    for down in FILTERS:
        for up in FILTERS:
            same = np.stack([low_resolution_weights(30, 30, down, up)] * 5)
            assert np.array_equal(resample(images, same, same), images)


def test_images_do_not_touch_each_other() -> None:
    images = noise(6, 24)
    lengths = np.array([3, 24, 9, 17, 20, 11])
    firsts = np.array([5, 0, 15, 2, 4, 1])
    matrices = crop_weights(firsts, lengths, 24)
    together = resample(images, matrices, matrices)
    for number in range(6):
        one = slice(number, number + 1)
        alone = resample(images[one], matrices[one], matrices[one])
        assert np.array_equal(together[one], alone)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads by /proc")
def test_no_library_starts_threads_for_the_products() -> None:
    code = """
import os
import numpy as np
from lfs_ray.data.resampling import Room, resample
from lfs_ray.data.resampling_weights import low_resolution_weights
images, room = np.zeros((4, 112, 112, 3), np.uint8), Room(112)
room.rows_NSS[:] = room.columns_NSS[:] = low_resolution_weights(112, 20, "bicubic", "bicubic")
def busy():
    ticks = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/stat") as file:
            fields = file.read().rsplit(")")[1].split()
        ticks.append(int(fields[11]) + int(fields[12]))
    return sorted(ticks)[:-1]
before = sum(busy())
for _ in range(100):
    resample(images, range(4), room)
print(sum(busy()) - before)
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert int(done.stdout) <= 1
