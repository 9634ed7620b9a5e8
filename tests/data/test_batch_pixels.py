from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest
from image_samples import encoded, pixels_of, write_lmdb

from lfs_ray.data import datum
from lfs_ray.data.batch_pixels import EncodedImages, fill
from lfs_ray.data.decode import Pixels, resize_image
from lfs_ray.data.sources import FaceSet, open_faces

SIZES = (15, 16, 18, 20, 112)


def raw_planes(pixels: Pixels) -> bytes:
    planes = np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1))
    height, width = pixels.shape[:2]
    message = datum.Datum(channels=3, height=height, width=width, data=planes.tobytes())
    return message.SerializeToString()


def values_of(size: int) -> dict[str, bytes]:
    """Records of every kind; those with an x in their key have no pixels."""
    right, tall = pixels_of(1, size), pixels_of(2, 2 * size)[:, : size // 2]
    jpegs = {
        "right.jpg": encoded(right, quality=95),
        "other.jpg": encoded(pixels_of(3, size), quality=60, subsampling=0),
        "grey.jpg": encoded(pixels_of(4, size)[..., 0]),
        "larger.jpg": encoded(pixels_of(5, size + 9)),
        "smaller.jpg": encoded(pixels_of(6, size - 3)),
        "as many pixels.jpg": encoded(np.ascontiguousarray(tall)),
        "stray.jpg": encoded(right) + b"stray bytes",
        "portable.png": encoded(pixels_of(7, size), "PNG"),
        "x cut.jpg": encoded(right)[:-200],
        "x nothing.jpg": b"\xff\xd8",
        "x text.jpg": b"this is no image",
    }
    records = {key: datum.encode(blob, 1) for key, blob in jpegs.items()}
    return {**records, "planes": raw_planes(pixels_of(8, size)), "x no message": b"\x22"}


@pytest.fixture
def mixed(tmp_path: Path) -> Callable[[int], FaceSet]:
    """Two joined sources with records of every kind, and a missing key."""

    def opened(size: int) -> FaceSet:
        values = values_of(size)
        lists = []
        for name in ("one", "two"):
            write_lmdb(tmp_path / name, values)
            lists.append(tmp_path / f"{name}.txt")
            lists[-1].write_text("".join(f"{key} 0\n" for key in [*values, "x missing"]))
        return open_faces([str(tmp_path / "one"), str(tmp_path / "two")], [*map(str, lists)])

    return opened


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize("size", SIZES)
def test_each_place_has_the_pixels_that_its_image_has_alone(
    mixed: Callable[[int], FaceSet], size: int, colour: str
) -> None:
    faces = mixed(size)
    rng = np.random.default_rng(size)
    indices = rng.permutation(np.repeat(np.arange(len(faces)), 2))
    flips = rng.random(len(indices)) < 0.5
    images_BHWC = np.zeros((len(indices), size, size, 3), np.uint8)
    failures = fill(images_BHWC, faces, indices, flips, colour)
    broken = [place for place, index in enumerate(indices) if faces.key(int(index))[0] == "x"]
    assert sorted(failures) == broken
    for place, index in enumerate(indices.tolist()):
        if place in failures:
            assert f'"{faces.key(index)}"' in str(failures[place])
            continue
        alone = resize_image(faces.image(index, colour), size)
        assert np.array_equal(images_BHWC[place], alone[:, ::-1] if flips[place] else alone)


def test_both_ways_were_taken(mixed: Callable[[int], FaceSet]) -> None:
    """A JPEG of the right size does not go through `image`, all else does."""
    faces = mixed(16)
    looked_at: list[str] = []

    class Watched:
        labels = faces.labels
        encoded = faces.encoded

        def image(self, index: int, colour: str = "rgb") -> Pixels:
            looked_at.append(faces.key(index))
            return faces.image(index, colour)

    assert isinstance(faces, EncodedImages)
    count = len(faces)
    fill(
        np.empty((count, 16, 16, 3), np.uint8), Watched(), np.arange(count), np.zeros(count, bool)
    )
    direct = {faces.key(index) for index in range(count)} - set(looked_at)
    assert direct == {"right.jpg", "other.jpg", "grey.jpg", "stray.jpg"}


def test_no_image_is_no_work() -> None:
    class Nothing:
        labels = np.empty(0, np.int64)

        def image(self, index: int, colour: str = "rgb") -> Pixels:
            raise AssertionError

    images_BHWC = np.empty((0, 8, 8, 3), np.uint8)
    assert fill(images_BHWC, Nothing(), np.empty(0, np.int64), np.empty(0, bool)) == {}


def test_a_batch_is_one_read_of_each_source(
    mixed: Callable[[int], FaceSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = mixed(16)
    begun: list[str] = []
    right = np.array([0, len(faces) // 2, 0, 1, len(faces) // 2 + 1])

    class Counted:
        def __init__(self, store: object, env: lmdb.Environment) -> None:
            self._path, self._env = store.path, env

        def begin(self, **options: object) -> lmdb.Transaction:
            begun.append(self._path)
            return self._env.begin(**options)

    for store in faces.stores:
        env = store._environment()
        monkeypatch.setattr(store, "_environment", lambda s=store, e=env: Counted(s, e))
    fill(np.empty((5, 16, 16, 3), np.uint8), faces, right, np.zeros(5, bool))
    assert sorted(begun) == sorted(store.path for store in faces.stores)


def test_stored_images_are_those_of_the_sources_in_the_order_asked_for(
    mixed: Callable[[int], FaceSet],
) -> None:
    faces, values = mixed(16), values_of(16)
    indices = np.random.default_rng(0).permutation(len(faces))
    with faces.encoded(indices) as blobs:
        for index, blob in zip(indices.tolist(), blobs, strict=True):
            record = values.get(faces.key(index))
            if faces.key(index) in ("planes", "x no message", "x missing"):
                assert blob is None
            else:
                assert blob is not None
                assert record is not None
                assert bytes(blob) == datum.decode(record).data
    with faces.encoded(indices[:0]) as blobs:
        assert list(blobs) == []
