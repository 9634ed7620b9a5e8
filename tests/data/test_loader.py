from __future__ import annotations

import os
import subprocess
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_samples import pixels_of

from lfs_ray.data.augment import Augmentation, AugmentedStream
from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.decode import Pixels, decode_image, resize_image
from lfs_ray.data.loader import Batch, batches, decode_all
from lfs_ray.data.sources import open_faces
from lfs_ray.data.store import FolderStore, NamedImages
from lfs_ray.data.stream import stream_flips, stream_indices
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


AUGMENTATION = Augmentation(
    crop_probability=0.4,
    low_resolution_probability=0.4,
    colour_jitter_probability=0.4,
    grey_probability=0.2,
)


def stretch(faces: LabelledImages, start: int, stop: int, **options: Any) -> list[Batch]:
    """Positions start to stop-1 of a stream, with all changes on."""
    count, seed = stop - start, 9
    return list(
        batches(
            faces,
            stream_indices(seed, len(faces.labels), start, count),
            stream_flips(seed, start, count, 0.5),
            augment=AugmentedStream(AUGMENTATION, seed, start),
            **{"batch_size": 4, "size_px": 16, **options},
        )
    )


def joined(parts: list[Batch]) -> tuple[list[int], bytes]:
    labels = [label for batch in parts for label in batch.labels_B.tolist()]
    return labels, b"".join(batch.images_BHWC.tobytes() for batch in parts)


@pytest.mark.parametrize("broken", [(), (2, 5, 6)])
def test_a_run_is_resumed_exactly_at_any_batch(broken: tuple[int, ...]) -> None:
    faces = Numbered(9, broken=broken, side_px=16)
    whole = stretch(faces, 0, 40, max_bad_images=3)
    for taken in range(1, 10):
        rest = stretch(faces, 4 * taken, 40, max_bad_images=3)
        assert joined(rest) == joined(whole[taken:])


@pytest.mark.parametrize("options", [{"threads": 3}, {"batch_size": 7}, {"batch_size": 40}])
def test_threads_and_batches_do_not_change_an_image(options: dict[str, int]) -> None:
    faces = Numbered(9, side_px=16)
    assert joined(stretch(faces, 3, 43, **options)) == joined(stretch(faces, 3, 43))


def test_images_left_out_do_not_change_the_others() -> None:
    whole = stretch(Numbered(9, side_px=16), 0, 36)
    some = stretch(Numbered(9, broken=(2, 5), side_px=16), 0, 36, max_bad_images=2)
    images = np.concatenate([batch.images_BHWC for batch in whole])
    labels = np.concatenate([batch.labels_B for batch in whole])
    assert joined(some)[1] == images[~np.isin(labels, [20, 50])].tobytes()


def test_no_process_is_started(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> int:
        raise AssertionError("a process was started")

    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp"):
        monkeypatch.setattr(os, name, refused)
    monkeypatch.setattr(subprocess.Popen, "__init__", refused)
    faces = open_faces([str(packed)])
    assert len(stretch(faces, 0, 50, threads=3)) == 13
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = children.read_text() if children.exists() else ""
    iterator = batches(faces, np.arange(9), np.zeros(9, bool), batch_size=2, size_px=16, threads=3)
    next(iterator)
    assert (children.read_text() if children.exists() else "") == before
    iterator.close()


@pytest.mark.parametrize("keep", ["all", "parts", "tensors"])
def test_what_is_kept_of_a_batch_stays_as_it_is(keep: str) -> None:
    faces = Numbered(50)
    part_of = {
        "all": lambda pixels: pixels,
        "parts": lambda pixels: pixels[1:, 1:3],
        "tensors": torch.from_numpy,
    }[keep]
    indices = np.arange(200) % 50
    flips = np.zeros(200, np.bool_)
    kept = []
    for batch in batches(faces, indices, flips, batch_size=4, size_px=4, threads=2):
        kept.append((batch.labels_B, part_of(batch.images_BHWC)))
        del batch
    for labels_B, pixels in kept:
        numbers = np.asarray(pixels)[:, 1, 2, 0].tolist()
        assert numbers == (labels_B // 10)[-len(numbers) :].tolist()


def test_memory_is_that_of_a_few_batches() -> None:
    """However slow the consumer and long the stream: those ahead, and the one it has."""
    threads, batch_size, side_px = 2, 16, 128
    batch_bytes = batch_size * side_px**2 * 3
    faces = Numbered(50, side_px=side_px)
    indices, flips = np.arange(400) % 50, np.zeros(400, np.bool_)
    options = {"batch_size": batch_size, "size_px": side_px, "threads": threads}
    tracemalloc.start()
    try:
        for number, _ in enumerate(batches(faces, indices, flips, **options)):
            time.sleep(0.01 if number < 5 else 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (threads + 2 + 1 + 0.5) * batch_bytes


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
