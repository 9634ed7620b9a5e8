from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lfs_ray.data.decoded import DecodedImages
from lfs_ray.errors import DataError


class _Drawn:
    """Four images of their own index, the last undecodable; counts what is decoded."""

    def __init__(self) -> None:
        self.labels = np.arange(4)
        self.decoded: list[int] = []

    def image(self, index: int, colour: str = "rgb") -> NDArray[np.uint8]:
        self.decoded.append(index)
        if index == 3:
            raise DataError("undecodable")
        assert colour == "rgb"
        return np.full((8, 8, 3), (index, 50, 100), np.uint8)


def test_an_image_is_decoded_once_and_stays_what_it_is() -> None:
    source = _Drawn()
    images = DecodedImages(source, size_px=8)
    for index in (2, 0, 2, 2, 0):
        assert (images.image(index) == (index, 50, 100)).all()
    assert source.decoded == [2, 0]
    assert np.array_equal(images.labels, source.labels)


def test_images_are_kept_at_their_size() -> None:
    assert DecodedImages(_Drawn(), size_px=16).image(1).shape == (16, 16, 3)


def test_an_undecodable_image_fails_every_time() -> None:
    images = DecodedImages(_Drawn(), size_px=8)
    for _ in range(2):
        with pytest.raises(DataError, match="undecodable"):
            images.image(3)


def test_the_other_colour_order_is_the_same_pixels_reversed() -> None:
    images = DecodedImages(_Drawn(), size_px=8)
    assert (images.image(2, "bgr") == (100, 50, 2)).all()
    assert (images.image(2, "rgb") == (2, 50, 100)).all()
