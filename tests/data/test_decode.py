from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import simplejpeg
from image_samples import encoded, pixels_of
from PIL import Image

from lfs_ray.data.decode import decode_image, image_size, resize_image
from lfs_ray.errors import DataError


def by_pillow(blob: bytes) -> np.ndarray:
    with Image.open(BytesIO(blob)) as image:
        return np.array(image.convert("RGB"))


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_formats_come_back(image_format: str) -> None:
    pixels = pixels_of(3)
    assert np.array_equal(decode_image(encoded(pixels, image_format)), pixels)


def test_jpeg_decodes_to_the_pixels_pillow_gives() -> None:
    blob = encoded(pixels_of(1, 48), quality=90)
    assert np.array_equal(decode_image(blob), by_pillow(blob))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_bgr_is_rgb_backwards(image_format: str) -> None:
    blob = encoded(pixels_of(2), image_format)
    bgr = decode_image(blob, "bgr")
    assert np.array_equal(bgr, decode_image(blob)[..., ::-1])
    assert bgr.flags.c_contiguous


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_grey_is_repeated(image_format: str) -> None:
    blob = encoded(pixels_of(2)[..., 0], image_format)
    pixels = decode_image(blob)
    assert pixels.shape == (16, 16, 3)
    assert (pixels == pixels[..., :1]).all()


def test_sixteen_bits_become_the_upper_eight() -> None:
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    assert decode_image(encoded(deep, "PNG"))[0, :, 0].tolist() == [0, 0, 1, 255]


def test_transparency_is_dropped() -> None:
    pixels = np.dstack([pixels_of(1), np.zeros((16, 16), np.uint8)])
    assert np.array_equal(decode_image(encoded(pixels, "PNG")), pixels[..., :3])


def test_jpeg_in_printing_colours() -> None:
    buffer = BytesIO()
    Image.fromarray(pixels_of(1)).convert("CMYK").save(buffer, "JPEG")
    difference = decode_image(buffer.getvalue()).astype(int) - by_pillow(buffer.getvalue())
    assert np.abs(difference).max() <= 1


def test_stray_bytes_are_forgiven() -> None:
    blob = encoded(pixels_of(1, 48))
    stray = blob[:-2] + bytes(9) + blob[-2:]
    with pytest.raises(ValueError):
        simplejpeg.decode_jpeg(stray)
    assert np.array_equal(decode_image(stray), decode_image(blob))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"not an image",
        b"\xff\xd8\xff",
        encoded(pixels_of(0, 64))[:-300],
        encoded(pixels_of(0, 64), "PNG")[:-300],
    ],
    ids=["empty", "text", "start only", "cut jpeg", "cut png"],
)
def test_undecodable_is_one_line(blob: bytes) -> None:
    with pytest.raises(DataError, match=f"image of {len(blob)} bytes cannot be decoded") as caught:
        decode_image(blob)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_unknown_colour_order() -> None:
    with pytest.raises(DataError, match='"rgb" or "bgr", got "grb"'):
        decode_image(encoded(pixels_of(0)), "grb")


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_size_is_read_from_the_header(image_format: str) -> None:
    blob = encoded(pixels_of(0)[:10], image_format)
    assert image_size(blob) == (10, 16)
    with pytest.raises(DataError, match="cannot be decoded"):
        image_size(blob[:5])


def test_resize_to_the_same_size_is_the_same_array() -> None:
    pixels = pixels_of(0)
    assert resize_image(pixels, 16) is pixels


def test_reduction_averages() -> None:
    checkers = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8)
    small = resize_image(np.repeat(checkers[..., None], 3, 2), 16)
    assert small.shape == (16, 16, 3)
    assert np.abs(small.astype(int) - 100).max() <= 2


def test_middle_square_of_an_oblong_image() -> None:
    oblong = np.zeros((8, 24, 3), np.uint8)
    oblong[:, 8:16] = 90
    assert (resize_image(oblong, 4) == 90).all()
    assert (resize_image(oblong.transpose(1, 0, 2), 4) == 90).all()


def test_one_side_of_the_right_length_is_not_enough() -> None:
    assert resize_image(pixels_of(0)[:10], 16).shape == (16, 16, 3)
    assert resize_image(pixels_of(0)[:, :10], 16).shape == (16, 16, 3)
