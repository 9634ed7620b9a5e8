"""An image source in memory, for the tests of packing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from image_samples import encoded, pixels_of

from lfs_ray.data.packing.source import Record


class MemorySource:
    """Records at hand; `on_read` is called with each place that is read."""

    def __init__(
        self,
        records: list[Record],
        class_names: list[str],
        fingerprint: str = "f0",
        on_read: Callable[[int], None] = lambda place: None,
    ) -> None:
        self.records = records
        self.class_names = class_names
        self.facts = {"kind": "memory", "numbers": [1, 2]}
        self.fingerprint = fingerprint
        self.on_read = on_read

    def __len__(self) -> int:
        return len(self.records)

    def read(self, start: int, stop: int) -> list[Record]:
        for place in range(start, stop):
            self.on_read(place)
        return self.records[start:stop]


def some_records(count: int, classes: int = 7, first: int = 0) -> list[Record]:
    """Small images with labels 0 to classes-1 in turn."""
    return [
        Record(f"p{i % classes}/{i:04d}.png", encoded(pixels_of(first + i, 8), "PNG"), i % classes)
        for i in range(count)
    ]


def memory_source(count: int, classes: int = 7, first: int = 0) -> MemorySource:
    names = [f"person {label}" for label in range(classes)]
    return MemorySource(some_records(count, classes, first), names)


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of the files of a packed set, but for those of the LMDB."""
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if file.is_file() and file.name != "data.lmdb"
    }


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process; its exit status, negative for the signal that ended it."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    """What `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def failing(call: int, error: Callable[[], BaseException]) -> Iterator[None]:
    """Iterator that raises at its call number `call`, from 0."""
    yield from [None] * call
    raise error()
