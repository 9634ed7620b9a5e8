"""Hashes survive what keeps a picture the same, and tell pictures apart."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from aligned_faces import aligned_face
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lfs_ray.data.hash_search import differing_bits
from lfs_ray.data.perceptual_hash import (
    NEAR_BITS,
    NEAR_LIKENESS,
    SIDE,
    THUMBNAIL_SIDE,
    grey_square,
    hashes_of,
    likeness,
    perceptual_hash,
)


def slow_hash(grey: np.ndarray) -> int:
    """The rule by the formula of the cosine transform, bit by bit."""
    size = len(grey)
    low = {}
    for u in range(8):
        for v in range(8):
            along_y = np.cos(np.pi * (2 * np.arange(size) + 1) * u / (2 * size))
            along_x = np.cos(np.pi * (2 * np.arange(size) + 1) * v / (2 * size))
            norm = (0.5 if u == 0 else 1) ** 0.5 * (0.5 if v == 0 else 1) ** 0.5
            low[u, v] = norm * float(along_y @ grey.astype(float) @ along_x)
    del low[0, 0]
    middle = float(np.median(list(low.values())))
    return sum(1 << (8 * u + v) for (u, v), value in low.items() if value > middle)


@given(st.integers(0, 10**6))
def test_hash_follows_the_formula(seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    ours, wanted = int(perceptual_hash([grey])[0]), slow_hash(grey)
    # A value that is the median to rounding may fall on either side.
    assert (ours ^ wanted).bit_count() <= 1


def test_a_hash_does_not_depend_on_its_neighbours() -> None:
    greys = [grey_square(aligned_face(number), SIDE) for number in range(5)]
    together = perceptual_hash(greys)
    assert [int(h) for h in together] == [int(perceptual_hash([grey])[0]) for grey in greys]


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


SAME_PICTURE = {
    "itself": lambda pixels: pixels,
    "quality 40": lambda pixels: jpeg(pixels, 40),
    "half the size": lambda pixels: np.array(Image.fromarray(pixels).resize((56, 56))),
    "brighter": lambda pixels: np.clip(pixels * 1.1 + 5, 0, 255).astype(np.uint8),
    "grey": lambda pixels: np.array(Image.fromarray(pixels).convert("L").convert("RGB")),
}


@pytest.mark.parametrize("change", SAME_PICTURE)
def test_the_same_picture_is_near_and_alike(change: str) -> None:
    for number in range(8):
        pixels = aligned_face(number, 112)
        other = SAME_PICTURE[change](pixels)
        one, two = hashes_of([pixels]), hashes_of([other])
        assert differing_bits(one, two)[0] <= NEAR_BITS
        thumbnails = [grey_square(picture, THUMBNAIL_SIDE)[None] for picture in (pixels, other)]
        assert likeness(*thumbnails)[0] >= NEAR_LIKENESS


def test_different_pictures_are_told_apart() -> None:
    pixels = [aligned_face(number, 64) for number in range(40)]
    thumbnails = np.stack([grey_square(picture, THUMBNAIL_SIDE) for picture in pixels])
    first, second = np.triu_indices(len(pixels), 1)
    near = differing_bits(hashes_of(pixels)[first], hashes_of(pixels)[second]) <= NEAR_BITS
    alike = likeness(thumbnails[first], thumbnails[second]) >= NEAR_LIKENESS
    assert not (near & alike).any()


def slow_likeness(one: np.ndarray, two: np.ndarray) -> float:
    """The rule pixel by pixel."""
    products = [0.0, 0.0, 0.0]
    for y in range(16):
        for x in range(16):
            for to_y, to_x in ((y + 1, x), (y, x + 1)):
                if to_y < 16 and to_x < 16:
                    a, b = (
                        min(max(int(grey[to_y, to_x]) - int(grey[y, x]), -25), 25)
                        for grey in (one, two)
                    )
                    products = [
                        p + q for p, q in zip(products, (a * b, a * a, b * b), strict=True)
                    ]
    return products[0] / (products[1] * products[2]) ** 0.5


def test_likeness_is_the_cosine_of_the_steps() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 60, (3, 16, 16)).astype(np.uint8)
    two = np.clip(one + rng.integers(0, 40, one.shape), 0, 255).astype(np.uint8)
    wanted = [slow_likeness(a, b) for a, b in zip(one, two, strict=True)]
    assert np.allclose(likeness(one, two), wanted, atol=1e-5)
    flat = np.full_like(one, 7)
    assert (likeness(one, flat) == 0).all()
    assert (likeness(flat, flat) == 0).all()


def test_a_common_border_makes_no_likeness() -> None:
    """Two people whose crops have the same black border are not one picture."""
    thumbnails = []
    for number in (1, 2):
        pixels = aligned_face(number, 112)
        pixels[:35] = 0
        thumbnails.append(grey_square(pixels, THUMBNAIL_SIDE)[None])
    grey = [thumbnail.ravel().astype(float) for thumbnail in thumbnails]
    assert np.corrcoef(*grey)[0, 1] > 0.85
    assert likeness(*thumbnails)[0] < NEAR_LIKENESS - 0.1


def test_refuses_other_sizes_and_takes_none() -> None:
    assert len(hashes_of([])) == 0
    with pytest.raises(ValueError, match="32"):
        perceptual_hash(np.zeros((2, 16, 16)))
