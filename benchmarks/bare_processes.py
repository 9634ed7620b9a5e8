"""Bare decoding in several processes, bytes in memory, pixels dropped: the hardest peer.

    python benchmarks/bare_processes.py FOLDER SEED IMAGES FIRST STEP    # for loader.py

Decodes every STEP-th image of the order from FIRST on, once for each line that it reads, and
answers each with a line. Started by `loader.py`, which must not be imported here: it takes torch.
"""

from __future__ import annotations

import subprocess
import sys

import simplejpeg

from lfs_ray.data.sources import open_faces
from lfs_ray.data.stream import stream_indices


class BareProcesses:
    """Processes that decode the images of a packed set together, as often as asked."""

    def __init__(self, folder: str, seed: int, num_images: int, processes: int) -> None:
        numbers = [str(number) for number in (seed, num_images)]
        self._running = [
            subprocess.Popen(
                [sys.executable, __file__, folder, *numbers, str(first), str(processes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for first in range(processes)
        ]
        self._num_images = num_images
        self._wait()

    def decode(self) -> int:
        """All images once; their number."""
        for process in self._running:
            assert process.stdin
            process.stdin.write(b"\n")
            process.stdin.flush()
        self._wait()
        return self._num_images

    def close(self) -> None:
        """End them."""
        for process in self._running:
            process.communicate()

    def _wait(self) -> None:
        for process in self._running:
            assert process.stdout
            if not process.stdout.readline():
                sys.exit("a process of bare_processes.py ended")


def main() -> None:
    folder, *numbers = sys.argv[1:]
    seed, num_images, first, step = map(int, numbers)
    faces = open_faces([folder])
    order = stream_indices(seed, len(faces), 0, num_images)[first::step]
    with faces.encoded(order) as found:
        blobs = [bytes(blob) for blob in found if blob is not None]
    print(flush=True)
    while sys.stdin.readline():
        for blob in blobs:
            simplejpeg.decode_jpeg(blob, "RGB")
        print(flush=True)


if __name__ == "__main__":
    main()
