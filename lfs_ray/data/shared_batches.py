"""Memory of batches that several processes see, and the questions written beside the pixels.

Data flow: `decoders` writes indices and flips of a batch here; a decoding process reads them,
writes the pixels; the consumer reads those where they lie.

The memory is an anonymous file: nothing is left of it when its processes are gone, however they
end, and the size of /dev/shm does not matter. All of it is taken from the system at the start:
too little of it is an error then, and never a signal (SIGBUS) at some later touch of a page.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.decode import Pixels
from lfs_ray.errors import DataError

_PAGE_BYTES = mmap.PAGESIZE
_QUESTION_BYTES = 8 + 1  # index and flip of an image


@dataclass(frozen=True, slots=True)
class Layout:
    """How many batches the memory holds, and of what size."""

    num_slots: int
    batch_size: int
    size_px: int

    @property
    def slot_bytes(self) -> int:
        """Bytes of a batch with its question, whole pages."""
        image_bytes = self.size_px**2 * 3
        return -(-self.batch_size * (image_bytes + _QUESTION_BYTES) // _PAGE_BYTES) * _PAGE_BYTES


class SharedBatches:
    """The slots as one process sees them.

    Args:
        file: Descriptor of the memory; may be closed afterwards.
        layout: What the memory was taken for.
    """

    def __init__(self, file: int, layout: Layout) -> None:
        self._mapped = mmap.mmap(file, layout.num_slots * layout.slot_bytes)
        self._layout = layout

    def images(self, slot: int, count: int) -> Pixels:
        """Pixels of the first `count` images of a slot, (count, size, size, 3).

        Parts of the array refer to the array itself, as in `batch_memory`.
        """
        side = self._layout.size_px
        start = slot * self._layout.slot_bytes
        return np.ndarray((count, side, side, 3), np.uint8, self._mapped, start)

    def question(self, slot: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Indices and flips of the first `count` images of a slot: they lie behind all pixels.

        So messages are short, however large a batch is, and none ever waits for room in a pipe.
        """
        layout = self._layout
        # From the end, which is a multiple of the page and so of the word.
        indices_at = (slot + 1) * layout.slot_bytes - 8 * layout.batch_size
        indices = np.ndarray((count,), np.int64, self._mapped, indices_at)
        flips = np.ndarray((count,), np.bool_, self._mapped, indices_at - layout.batch_size)
        return indices, flips


class Lending:
    """The consumer's side: which slots are free.

    A slot is free again when nothing refers to the array it was lent as. Where the consumer keeps
    so many that the next batch would have no slot, it gets a copy: any number can be kept.
    """

    def __init__(self, batches: SharedBatches, layout: Layout) -> None:
        self._batches = batches
        self._layout = layout
        self._free = deque(range(layout.num_slots))
        self._taken: set[int] = set()

    def serves(self, layout: Layout) -> bool:
        """Whether another stretch of this layout can begin; one old batch may still be kept."""
        return layout == self._layout and len(self._free) >= layout.num_slots - 1

    def take(self, indices: NDArray[np.int64], flips: NDArray[np.bool_]) -> int:
        """A free slot, to decode these images into."""
        slot = self._free.popleft()
        self._taken.add(slot)
        asked_indices, asked_flips = self._batches.question(slot, len(indices))
        asked_indices[:], asked_flips[:] = indices, flips
        return slot

    def lend(self, slot: int, count: int) -> Pixels:
        """The pixels in a slot that was taken, for as long as the consumer keeps them."""
        self._taken.remove(slot)
        images_BHWC = self._batches.images(slot, count)
        if not self._free:
            copied: Pixels = images_BHWC.copy()
            self._free.append(slot)
            return copied
        weakref.finalize(images_BHWC, self._free.append, slot).atexit = False
        return images_BHWC

    def reclaim(self) -> None:
        """Take back what was taken and never lent; nobody may write there any more."""
        self._free.extend(self._taken)
        self._taken.clear()


def shared_memory(layout: Layout) -> int:
    """Descriptor of new memory for the slots, all of it taken.

    Raises:
        DataError: The system does not have so much.
    """
    num_bytes = layout.num_slots * layout.slot_bytes
    file = os.memfd_create("lfs-ray-batches")
    try:
        os.posix_fallocate(file, 0, num_bytes)
    except OSError as error:
        os.close(file)
        raise DataError(
            f"memory for {layout.num_slots} batches of {layout.batch_size} images must be free, "
            f"{num_bytes >> 20} MiB, the system says: {error.strerror}: take smaller batches or "
            "fewer worker.loader_processes"
        ) from None
    return file
