"""Memory of batches, used again when the batch it was lent to is gone.

Data flow: `loader` -> here -> empty arrays -> pixels. The system hands out fresh memory page by
page and clears each: with several threads that costs a tenth of the time of decoding into it.
"""

from __future__ import annotations

import weakref

import numpy as np

from lfs_ray.data.decode import Pixels


class BatchMemory:
    """Lends arrays of one shape; memory comes back when nothing refers to an array any more.

    As much memory stays as was lent at once. Threads may ask at the same time.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._num_bytes = int(np.prod(shape))
        self._free: list[bytearray] = []

    def array(self) -> Pixels:
        """Array of the shape with any content."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = bytearray(self._num_bytes)
        # Parts of an array refer to the array itself where its memory is no array: as long as one
        # of them lives, the array does.
        array: Pixels = np.ndarray(self._shape, np.uint8, memory)
        weakref.finalize(array, self._free.append, memory)
        return array
