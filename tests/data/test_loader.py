from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_samples import pixels_of

from lfs_ray.data.decode import Pixels, decode_image, resize_image
from lfs_ray.data.loader import Batch, batches, decode_all
from lfs_ray.data.prefetch import ordered_map
from lfs_ray.data.sources import open_faces
from lfs_ray.data.store import FolderStore, NamedImages
from lfs_ray.errors import DataError


class Numbered:
    """Images whose every pixel is their index; some are broken, some take longer to decode."""

    def __init__(self, size: int, broken: tuple[int, ...] = (), side_px: int = 4) -> None:
        self.labels = np.arange(size) * 10
        self.broken = broken
        self.side_px = side_px
        self.running = 0

    def image(self, index: int, colour: str = "rgb") -> Pixels:
        if index % 7 == 3:
            time.sleep(0.002)
        if index in self.broken:
            raise DataError(f'image "{index}" is broken')
        pixels = np.full((self.side_px, self.side_px, 3), index, np.uint8)
        pixels[:, 0] = 200
        return pixels if colour == "rgb" else pixels[..., ::-1]


def load(faces: Numbered, indices: list[int], **options: object) -> list[Batch]:
    flips = options.pop("flips", np.zeros(len(indices), np.bool_))
    settings = {"batch_size": 4, "size_px": 4, **options}
    return list(batches(faces, np.array(indices, np.int64), flips, **settings))


@given(st.lists(st.integers(0, 50)), st.integers(1, 9), st.integers(1, 4))
def test_order_is_that_of_the_indices(indices: list[int], batch_size: int, threads: int) -> None:
    loaded = load(Numbered(51), indices, batch_size=batch_size, threads=threads)
    sizes = [len(batch.labels_B) for batch in loaded]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    labels = [label for batch in loaded for label in batch.labels_B.tolist()]
    pixels = [pixel for batch in loaded for pixel in batch.images_BHWC[:, 1, 2, 0].tolist()]
    assert pixels == indices
    assert labels == [10 * index for index in indices]


def test_flips_mirror_left_and_right() -> None:
    (batch,) = load(Numbered(4), [0, 1, 2], flips=np.array([False, True, False]))
    assert (batch.images_BHWC[[0, 2], :, 0] == 200).all()
    assert (batch.images_BHWC[1, :, 3] == 200).all()
    assert (batch.images_BHWC[1, :, 0] == 1).all()


def test_other_sizes_are_resized() -> None:
    (batch,) = load(Numbered(9, side_px=7), [8])
    assert batch.images_BHWC.shape == (1, 4, 4, 3)
    assert batch.images_BHWC.dtype == np.uint8


@pytest.mark.parametrize("threads", [1, 3])
def test_undecodable_images_are_skipped_and_counted(threads: int) -> None:
    faces = Numbered(20, broken=(1, 8, 9, 10, 11, 12))
    indices = [*range(16), 1]
    loaded = load(faces, indices, threads=threads, max_bad_images=6)
    assert [batch.labels_B.tolist() for batch in loaded] == [
        [0, 20, 30],
        [40, 50, 60, 70],
        [130, 140, 150],
    ]
    assert [batch.images_BHWC[:, 1, 1, 0].tolist() for batch in loaded] == [
        [0, 2, 3],
        [4, 5, 6, 7],
        [13, 14, 15],
    ]
    assert [batch.skipped for batch in loaded] == [1, 0, 5]


def test_one_more_undecodable_image_stops() -> None:
    message = 'image "9" is broken; at most 2 undecodable images are skipped, this is number 3'
    with pytest.raises(DataError, match=message):
        load(Numbered(20, broken=(1, 8, 9)), [1, 1, 1, *range(12)], max_bad_images=2)
    with pytest.raises(DataError, match='image "1" is broken; at most 0'):
        load(Numbered(20, broken=(1,)), [1])


def threads_of_pools() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("data")]


@pytest.mark.parametrize("way", ["closed", "error", "forgotten"])
def test_threads_end_with_the_iterator(way: str) -> None:
    faces = Numbered(40, broken=(25,) if way == "error" else ())
    flips = np.zeros(40, np.bool_)
    iterator = batches(faces, np.arange(40), flips, batch_size=4, size_px=4, threads=3)
    next(iterator)
    assert threads_of_pools()
    if way == "closed":
        iterator.close()
    elif way == "error":
        with pytest.raises(DataError):
            list(iterator)
    del iterator
    assert not threads_of_pools()


def test_prefetch_is_bounded() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            asked.append(item)
            yield item

    results = ordered_map(lambda item: item * item, items(), threads=2, ahead=5)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(asked) <= 3 + 5
    assert list(results) == [item * item for item in range(3, 100)]


def test_wait_is_the_consumers() -> None:
    class Slow(Numbered):
        def image(self, index: int, colour: str = "rgb") -> Pixels:
            time.sleep(0.03)
            return super().image(index, colour)

    first, *_ = load(Slow(8), [0, 1, 2, 4])
    assert first.wait_s > 0.1
    iterator = batches(
        Slow(8), np.arange(8), np.zeros(8, np.bool_), batch_size=4, size_px=4, threads=2
    )
    next(iterator)
    time.sleep(0.4)
    assert next(iterator).wait_s < 0.03


def test_packed_faces(packed: Path, class_folders: Path) -> None:
    faces = open_faces([str(packed)])
    (batch,) = batches(
        faces, np.array([3, 0]), np.array([False, True]), batch_size=8, size_px=8, colour="bgr"
    )
    assert batch.labels_B.tolist() == [1, 0]
    for place, key in enumerate(["2/000.jpg", "10/000.jpg"]):
        pixels = resize_image(decode_image((class_folders / key).read_bytes(), "bgr"), 8)
        expected = pixels[:, ::-1] if place else pixels
        assert np.array_equal(batch.images_BHWC[place], expected)


def test_images_of_pairs_at_once(class_folders: Path) -> None:
    images = NamedImages(FolderStore(class_folders), ["b/001.jpg", "2/000.jpg", "b/001.jpg"] * 30)
    pixels = decode_all(images, np.arange(90), size_px=16, threads=2)
    assert pixels.shape == (90, 16, 16, 3)
    assert np.array_equal(pixels[88], images.image(1))
    with pytest.raises(DataError, match=r'"nobody.jpg" must be a file'):
        decode_all(NamedImages(images.store, ["nobody.jpg"]), np.arange(1), size_px=16)


def test_real_pixels_survive() -> None:
    class Sample(Numbered):
        def image(self, index: int, colour: str = "rgb") -> Pixels:
            return pixels_of(index)

    (batch,) = load(Sample(3), [2, 1], size_px=16)
    assert np.array_equal(batch.images_BHWC, np.stack([pixels_of(2), pixels_of(1)]))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"size_px": 0}, {"threads": 0}])
def test_impossible_settings(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="batch_size, size_px, threads >= 1"):
        load(Numbered(3), [1], **options)
    with pytest.raises(ValueError, match="as many flips as indices, got 4, 4, 1, 3 and 1"):
        load(Numbered(3), [1], flips=np.zeros(3, np.bool_))
