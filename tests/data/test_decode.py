from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from image_samples import encoded, pixels_of
from PIL import Image, ImageChops

from lfs_ray.data import decode
from lfs_ray.data.decode import (
    decode_image,
    image_size,
    is_animated,
    refuse_cut_off,
    resize_image,
)
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


def printed(pixels: np.ndarray, *, adobe: bool) -> bytes:
    """JPEG in CMYK: Adobe's holds inverted amounts of ink, any other the amounts."""
    image = Image.fromarray(pixels).convert("CMYK")
    buffer = BytesIO()
    (image if adobe else ImageChops.invert(image)).save(buffer, "JPEG", quality=100)
    blob = buffer.getvalue()
    start = blob.index(b"\xff\xee")
    assert blob[start + 4 : start + 9] == b"Adobe"
    end = start + 2 + int.from_bytes(blob[start + 2 : start + 4], "big")
    return blob if adobe else blob[:start] + blob[end:]


@pytest.mark.parametrize("adobe", [True, False])
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_jpeg_in_printing_colours(adobe: bool, colour: str) -> None:
    pixels = decode_image(printed(pixels_of(1), adobe=adobe), colour)
    expected = pixels_of(1) if colour == "rgb" else pixels_of(1)[..., ::-1]
    assert np.abs(pixels.astype(int) - expected).max() <= 3
    assert pixels.flags.c_contiguous


def test_palette_with_transparency() -> None:
    pixels = pixels_of(1)
    pixels[:4] = (255, 0, 0)
    image = Image.fromarray(pixels).quantize(32)
    for transparency in (3, bytes(range(32))):
        buffer = BytesIO()
        image.save(buffer, "PNG", transparency=transparency)
        assert np.array_equal(decode_image(buffer.getvalue()), np.array(image.convert("RGB")))


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_is_its_first_picture(image_format: str) -> None:
    frames = [Image.fromarray(pixels_of(number)).quantize(64).convert("RGB") for number in (1, 2)]
    buffer = BytesIO()
    options = {"lossless": True} if image_format == "WEBP" else {}
    frames[0].save(buffer, image_format, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(decode_image(buffer.getvalue()), np.array(frames[0]))
    assert is_animated(buffer.getvalue())
    assert image_size(buffer.getvalue()) == (16, 16)


def test_what_is_not_animated() -> None:
    for image_format in ("JPEG", "PNG", "GIF", "BMP"):
        assert not is_animated(encoded(pixels_of(0), image_format))
    with pytest.raises(DataError, match="image of 4 bytes cannot be decoded"):
        is_animated(b"text")


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_any_format(image_format: str) -> None:
    deep = np.array([[0, 255, 256, 40000, 65535]], np.uint16)
    assert decode_image(encoded(deep, image_format))[0, :, 1].tolist() == [0, 0, 1, 156, 255]


def deep_colour_png() -> bytes:
    """One pixel of 16 bits a channel: 0x1234, 0x5678, 0x9abc."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = zlib.compress(b"\0" + struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC))
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_sixteen_bits_of_colour() -> None:
    assert decode_image(deep_colour_png()).tolist() == [[[0x12, 0x56, 0x9A]]]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_more_than_sixteen_bits_are_refused(dtype: type) -> None:
    with pytest.raises(DataError, match="grey of more than 16 bits"):
        decode_image(encoded(np.array([[0, 70000]], dtype), "TIFF"))


def claiming(image_format: str, height: int, width: int) -> bytes:
    """A small file whose header claims a huge image."""
    blob = bytearray(encoded(pixels_of(0), image_format))
    match image_format:
        case "JPEG":
            start = blob.index(b"\xff\xc0") + 5
            blob[start : start + 4] = struct.pack(">HH", height, width)
        case "PNG":
            blob[16:24] = struct.pack(">II", width, height)
            blob[29:33] = struct.pack(">I", zlib.crc32(blob[12:29]))
        case "GIF":
            blob[6:10] = struct.pack("<HH", width, height)
        case "BMP":
            blob[18:26] = struct.pack("<ii", width, height)
    return bytes(blob)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP"])
@pytest.mark.parametrize(("height", "width"), [(8192, 8193), (12000, 12000), (60000, 60000)])
@pytest.mark.parametrize("function", [decode_image, image_size])
def test_huge_images_are_refused_by_their_header(
    image_format: str, height: int, width: int, function: Callable[[bytes], object]
) -> None:
    tracemalloc.start()
    with pytest.raises(DataError, match="an image must have at most 67108864 pixels, ") as caught:
        function(claiming(image_format, height, width))
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_pillow_does_not_warn_of_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(claiming("PNG", 12000, 12000))
    code = """
import sys
from lfs_ray.data.decode import image_size
from lfs_ray.errors import DataError
try:
    image_size(open(sys.argv[1], "rb").read())
except DataError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "huge.png"], capture_output=True, text=True
    )
    assert done.stdout.startswith("an image must have at most 67108864 pixels")
    assert done.stderr == ""


def test_the_largest_image_is_allowed() -> None:
    assert image_size(claiming("JPEG", 8192, 8192)) == (8192, 8192)
    with pytest.raises(DataError, match="cannot be decoded"):
        decode_image(claiming("PNG", 4000, 4000))


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
    assert ("the file is empty" in str(caught.value)) == (blob == b"")


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


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "PPM"])
def test_damage_is_refused_or_decoded(image_format: str) -> None:
    whole = encoded(pixels_of(1), image_format)
    rng = np.random.default_rng(0)
    refusals: list[str] = []
    for _ in range(150):
        blob = bytearray(whole)
        for place in rng.integers(0, len(blob), rng.integers(1, 4)).tolist():
            blob[place] = int(rng.integers(256))
        data = bytes(blob[: rng.integers(1, 2 * len(blob))])
        for function in (decode_image, image_size, is_animated):
            try:
                found = function(data)
                assert function is not decode_image or found.shape[2] == 3
            except DataError as error:
                refusals.append(str(error))
    assert 0 < len(refusals) < 450
    assert not any("\n" in line for line in refusals)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_files_that_are_cut_off(image_format: str) -> None:
    whole = encoded(pixels_of(1, 40), image_format)
    refuse_cut_off(whole)
    refuse_cut_off(whole + b"stray")
    for kept in (0.5, 0.75, 0.95):
        with pytest.raises(DataError, match="cannot be decoded"):
            refuse_cut_off(whole[: int(kept * len(whole))])


def test_the_end_of_a_thumbnail_is_not_that_of_the_image() -> None:
    thumbnail = encoded(pixels_of(2, 8), "JPEG")
    whole = encoded(pixels_of(1, 40), "JPEG")
    size = struct.pack(">H", len(thumbnail) + 2)
    whole = whole[:2] + b"\xff\xe1" + size + thumbnail + whole[2:]
    refuse_cut_off(whole)
    with pytest.raises(DataError, match="cannot be decoded"):
        refuse_cut_off(whole[: -len(thumbnail) // 2])


def test_an_end_that_is_there_costs_no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(blob: bytes) -> None:
        raise AssertionError

    monkeypatch.setattr(decode, "decode_image", fails)
    for image_format in ("JPEG", "PNG", "WEBP"):
        refuse_cut_off(encoded(pixels_of(1, 40), image_format))
