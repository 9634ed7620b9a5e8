from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from mixed_faces import Raising, some_of_two_sets, write_mixed

from lfs_ray.data.augment import Augmentation, AugmentedStream
from lfs_ray.data.decoders import Decoders
from lfs_ray.data.loader import Batch, batches
from lfs_ray.data.sources import FaceSet, open_faces
from lfs_ray.data.stream import stream_flips, stream_indices
from lfs_ray.errors import DataError

AUGMENTATION = Augmentation(
    crop_probability=0.4,
    low_resolution_probability=0.4,
    colour_jitter_probability=0.4,
    grey_probability=0.2,
)
BROKEN = (1, 4, 13)
END_S = 20.0
Bits = list[tuple[list[int], bytes, int]]


def stretch(faces: FaceSet, start: int, stop: int, **options: Any) -> Iterator[Batch]:
    """Positions start to stop-1 of a stream, with all changes on."""
    count, seed = stop - start, 9
    augment = AugmentedStream(AUGMENTATION, seed, start, colour=options.get("colour", "rgb"))
    return batches(
        faces,
        stream_indices(seed, len(faces), start, count),
        stream_flips(seed, start, count, 0.5),
        augment=augment,
        **{"batch_size": 7, "size_px": 16, "max_bad_images": 3, **options},
    )


def bits(parts: Iterator[Batch]) -> Bits:
    return [
        (part.labels_B.tolist(), part.images_BHWC.tobytes(), part.skipped) for part in list(parts)
    ]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceSet:
    return some_of_two_sets(tmp_path_factory.mktemp("sets"), BROKEN)


@pytest.fixture(scope="module")
def decoders(faces: FaceSet) -> Decoders:
    return Decoders(faces, 2)


def processes() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children()
        if "lfs_ray.data.decoding_process" in process.cmdline()
    ]


def gone(running: list[psutil.Process]) -> bool:
    """Whether all of them end soon."""
    return not psutil.wait_procs(running, END_S)[1]


@pytest.mark.parametrize("num_processes", [1, 3])
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_the_bits_are_those_of_threads(faces: FaceSet, num_processes: int, colour: str) -> None:
    expected = bits(stretch(faces, 0, 150, colour=colour))
    assert sum(skipped for *_, skipped in expected) > 3
    assert bits(stretch(faces, 0, 150, colour=colour, threads=3)) == expected
    decoders = Decoders(faces, num_processes)
    assert bits(stretch(faces, 0, 150, colour=colour, decoders=decoders)) == expected
    assert bits(stretch(faces, 0, 150, colour=colour, decoders=decoders, batch_size=50)) == bits(
        stretch(faces, 0, 150, colour=colour, batch_size=50)
    )


def test_a_run_is_resumed_exactly_at_any_batch(faces: FaceSet, decoders: Decoders) -> None:
    whole = bits(stretch(faces, 0, 70))
    for taken in range(10):
        assert bits(stretch(faces, 7 * taken, 70, decoders=decoders)) == whole[taken:]


def test_any_number_of_batches_can_be_kept(faces: FaceSet, decoders: Decoders) -> None:
    kept = list(stretch(faces, 0, 210, decoders=decoders))
    copies = bits(iter(kept))
    del kept[1::3]
    list(stretch(faces, 300, 500, decoders=decoders))
    expected = bits(stretch(faces, 0, 210))
    del expected[1::3]
    del copies[1::3]
    assert bits(iter(kept)) == expected == copies


def test_a_part_of_a_batch_keeps_its_memory(faces: FaceSet, decoders: Decoders) -> None:
    coming = stretch(faces, 0, 210, decoders=decoders)
    part = next(coming).images_BHWC[2:5, 3:, ::2]
    before = part.copy()
    assert sum(1 for _ in coming) == 29
    assert np.array_equal(part, before)


def test_one_stretch_may_begin_before_another_is_over(faces: FaceSet, decoders: Decoders) -> None:
    expected = bits(stretch(faces, 0, 70)), bits(stretch(faces, 70, 140))
    pairs = list(
        zip(
            stretch(faces, 0, 70, decoders=decoders),
            stretch(faces, 70, 140, decoders=decoders),
            strict=True,
        )
    )
    first, second = zip(*pairs, strict=True)
    assert (bits(first), bits(second)) == expected


def test_processes_stay_and_end_with_their_object(faces: FaceSet) -> None:
    others = processes()
    decoders = Decoders(faces, 2)
    expected = bits(stretch(faces, 0, 70))
    for _ in range(4):  # closed early, more often than there is memory for
        coming = stretch(faces, 0, 700, decoders=decoders)
        next(coming)
        coming.close()
    assert bits(stretch(faces, 0, 70, decoders=decoders)) == expected
    ours = [process for process in processes() if process not in others]
    assert len(ours) == 2
    del decoders, coming
    assert gone(ours)


def test_the_same_image_is_refused_with_the_same_words(faces: FaceSet, decoders: Decoders) -> None:
    refusals = []
    for decoder in (None, decoders):
        with pytest.raises(DataError) as caught:
            list(stretch(faces, 0, 150, max_bad_images=1, decoders=decoder))
        refusals.append(str(caught.value))
    assert refusals[0] == refusals[1]
    assert '.img" in ' in refusals[0]
    assert "this is number 2" in refusals[0]
    assert bits(stretch(faces, 0, 70, decoders=decoders)) == bits(stretch(faces, 0, 70))


def test_a_process_that_is_killed_is_one_line(faces: FaceSet) -> None:
    others = processes()
    decoders = Decoders(faces, 2)
    coming = stretch(faces, 0, 7000, decoders=decoders)
    next(coming)
    ours = [process for process in processes() if process not in others]
    ours[1].kill()
    with pytest.raises(DataError, match=rf"process {ours[1].pid} was ended by signal 9") as lost:
        list(coming)
    assert "\n" not in str(lost.value)
    assert gone(ours)
    assert bits(stretch(faces, 0, 70, decoders=decoders)) == bits(stretch(faces, 0, 70))
    idle = [process for process in processes() if process not in others]
    idle[0].kill()
    while idle[0].status() != psutil.STATUS_ZOMBIE:  # waiting for it would take its status
        time.sleep(0.01)
    with pytest.raises(DataError, match="was ended by signal 9"):
        list(stretch(faces, 0, 70, decoders=decoders))


CONSUMER = """
import sys, time
import numpy as np
from lfs_ray.data.decoders import Decoders
from lfs_ray.data.loader import batches
from lfs_ray.data.sources import open_faces
faces = open_faces([sys.argv[1]])
order = np.zeros(100_000, np.int64)
coming = batches(
    faces, order, order > 0, batch_size=64, size_px=16, decoders=Decoders(faces, 2)
)
next(coming)
print("under way", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_when_the_consumer_is_killed(tmp_path: Path, number: int) -> None:
    folder = write_mixed(tmp_path / "set", 9)
    with subprocess.Popen(
        [sys.executable, "-c", CONSUMER, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as consumer:
        assert consumer.stdout
        assert consumer.stdout.readline()
        running = psutil.Process(consumer.pid).children()
        assert len(running) == 2
        consumer.send_signal(number)
    assert gone(running)


def test_a_process_takes_neither_torch_nor_ray() -> None:
    program = "import sys, lfs_ray.data.decoding_process; "
    program += "assert not {'torch', 'ray', 'pandas', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_short_memory_is_told_at_the_start(
    faces: FaceSet, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    next(stretch(faces, 0, 700, decoders=decoders))
    monkeypatch.setattr(os, "posix_fallocate", refused)
    for _ in range(8):  # closed early or not, the memory of a stretch serves the next one
        next(stretch(faces, 0, 700, decoders=decoders))
    list(stretch(faces, 0, 70, decoders=decoders))
    message = "memory for 6 batches of 11 images must be free, 0 MiB, the system says: No space"
    with pytest.raises(DataError, match=message):
        list(stretch(faces, 0, 70, batch_size=11, decoders=decoders))


def test_nothing_has_a_name_and_memory_is_bounded(faces: FaceSet) -> None:
    named = set(os.listdir("/dev/shm"))
    others = processes()
    decoders = Decoders(faces, 2)
    coming = stretch(faces, 0, 70_000, batch_size=256, decoders=decoders)
    for _ in range(20):
        next(coming)
    assert set(os.listdir("/dev/shm")) == named
    batch_bytes = 256 * 16 * 16 * 3
    for process in [*processes(), psutil.Process()]:
        if process not in others:
            shared = [
                area.size for area in process.memory_maps() if "lfs-ray-batches" in area.path
            ]
            assert 0 < sum(shared) < 8 * batch_bytes
            break
    coming.close()


def test_data_that_are_gone_by_now_are_refused(tmp_path: Path) -> None:
    folder = write_mixed(tmp_path / "set", 9)
    faces = open_faces([folder])
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"list .*list.txt must be a readable file"):
        list(stretch(faces, 0, 7, decoders=Decoders(faces, 1)))


def test_a_bug_comes_with_its_traceback() -> None:
    indices = np.arange(9)
    coming = batches(
        Raising(), indices, indices > 4, batch_size=4, size_px=8, decoders=Decoders(Raising(), 1)
    )
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*a bug met image 0"):
        list(coming)


def test_the_consumer_does_not_wait_for_what_lies_ready(
    faces: FaceSet, decoders: Decoders
) -> None:
    coming = stretch(faces, 0, 7 * 4, decoders=decoders)
    first = next(coming)
    time.sleep(0.5)
    assert next(coming).wait_s < 0.1
    assert first.wait_s < END_S
