from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from image_samples import encoded, pixels_of

from lfs_ray.data.align import TEMPLATE_52, align
from lfs_ray.data.decode import decode_image, resize_image
from lfs_ray.data.image_changes import ImageChanges, encode_image
from lfs_ray.data.pack import pack
from lfs_ray.data.packing.source import Record
from lfs_ray.data.store import open_store
from lfs_ray.errors import DataError


def test_nothing_to_change() -> None:
    record = Record("k", b"not even an image", 0)
    assert ImageChanges().apply(record) is record
    assert ImageChanges(quality=50, image_format="png").facts() is None


def test_an_image_of_the_size_keeps_its_bytes() -> None:
    record = Record("k", encoded(pixels_of(1, 16), quality=30), 0)
    assert ImageChanges(size_px=16).apply(record) is record


def test_png_keeps_every_pixel() -> None:
    pixels = pixels_of(3, 20)
    changed = ImageChanges(size_px=8, image_format="png").apply(
        Record("k", encoded(pixels, "PNG"), 4)
    )
    assert (changed.key, changed.label) == ("k", 4)
    assert changed.image.startswith(b"\x89PNG")
    assert np.array_equal(decode_image(changed.image), resize_image(pixels, 8))
    assert ImageChanges(size_px=8, image_format="png").facts() == {"size_px": 8, "format": "png"}


def test_jpeg_of_the_quality_asked_for() -> None:
    pixels = pixels_of(3, 64)
    sizes = [len(encode_image(pixels, "jpeg", quality)) for quality in (10, 50, 95)]
    assert sizes == sorted(sizes)
    shown = decode_image(encode_image(pixels, "jpeg", 95)).astype(int)
    assert np.abs(shown - pixels).max() < 10


@pytest.mark.parametrize("blob", [b"", b"text", encoded(pixels_of(0, 64))[:-500]])
def test_an_undecodable_image_is_named(blob: bytes) -> None:
    with pytest.raises(DataError, match=r'image "p/k.jpg": image of .* cannot be decoded'):
        ImageChanges(size_px=8).apply(Record("p/k.jpg", blob, 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": -1}, "size_px 0 to 8192 and quality 1 to 100, got -1 and 95"),
        ({"size_px": 8193}, "size_px 0 to 8192 and quality 1 to 100, got 8193 and 95"),
        ({"quality": 0}, "got 0 and 0"),
        ({"quality": 101}, "got 0 and 101"),
        ({"image_format": "gif"}, "must be encoded as jpeg or png, got 'gif'"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageChanges(**options)  # type: ignore[arg-type]


def test_faces_are_aligned_by_their_landmarks(class_folders: Path, tmp_path: Path) -> None:
    keys = sorted(
        path.relative_to(class_folders).as_posix() for path in class_folders.rglob("*.jpg")
    )
    points = {key: TEMPLATE_52 / 7 + [place, 0] for place, key in enumerate(keys)}
    landmarks = tmp_path / "points.txt"
    rows = (" ".join([key, *(f"{x:.6f}" for x in points[key].ravel())]) for key in keys)
    landmarks.write_text("\n".join(rows) + "\n")
    manifest = pack(
        class_folders, tmp_path / "set", size_px=16, landmarks=str(landmarks), image_format="png"
    )
    digest = hashlib.sha256(landmarks.read_bytes()).hexdigest()
    assert manifest["changed"] == {"size_px": 16, "format": "png", "aligned_by": digest}
    assert manifest["height_width_px"] == [16, 16]
    store = open_store(tmp_path / "set")
    for key in keys:
        expected = align(decode_image((class_folders / key).read_bytes()), points[key], 16)
        assert np.abs(store.image(key).astype(int) - expected).max() <= 1
    assert pack(class_folders, tmp_path / "112", landmarks=str(landmarks))["height_width_px"] == [
        112,
        112,
    ]
    landmarks.write_text("".join(landmarks.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(
        DataError, match=r'image "b/003.jpg": .*points.txt must have a line for every'
    ):
        pack(class_folders, tmp_path / "no", landmarks=str(landmarks))
    with pytest.raises(DataError, match=r"landmarks .*nowhere must be a readable file"):
        pack(class_folders, tmp_path / "no", landmarks=str(tmp_path / "nowhere"))
    assert not (tmp_path / "no").exists()
