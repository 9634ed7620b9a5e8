"""Batches decoded in other processes, in order.

Data flow: indices and flips of `loader` -> here -> `decoding_team` -> pixels in `shared_batches`
-> `loader`. Batch k is decoded by process k modulo their number and taken from it in its turn:
order is that of the stream, whichever process is faster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.augment import AugmentedStream
from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.decode import Pixels
from lfs_ray.data.decoding_jobs import Job, Stretch
from lfs_ray.data.decoding_team import DecodingTeam
from lfs_ray.data.face_set import FaceSet
from lfs_ray.data.shared_batches import Layout, Lending
from lfs_ray.errors import DataError

_JOBS_EACH = 2  # one to decode, and one that waits: no process waits for the consumer
_LENT = 2  # the batch that the consumer has, and the one that it takes next


@dataclass(frozen=True, slots=True, eq=False)
class DecodedBatch:
    """Pixels of the images of a batch that have some, and why the others have none."""

    images_BHWC: Pixels
    start: int
    """Offset of the first image of the batch."""
    bad: dict[int, DataError]
    """By place in the batch asked for."""


class Decoders:
    """Processes that decode the images of one set; they end with this object.

    They stay from one stretch of the stream to the next: a start takes as long as the decoding of
    thousands of images. A stretch that begins before another one is over has processes of its own.

    Args:
        faces: Where images come from; of a `FaceSet` no labels are sent.
        num_processes: How many decode.
    """

    def __init__(self, faces: LabelledImages, num_processes: int) -> None:
        self._faces = faces
        self._num_processes = num_processes
        self._idle: list[DecodingTeam] = []

    def decode(
        self,
        indices: NDArray[np.int64],
        flips: NDArray[np.bool_],
        *,
        batch_size: int,
        size_px: int,
        colour: str = "rgb",
        augment: AugmentedStream | None = None,
    ) -> Generator[DecodedBatch, None, None]:
        """Batches in order; when it is closed early, those under way are waited for.

        Raises:
            DataError: A process ended, memory is short, or the data cannot be read.
        """
        ahead = _JOBS_EACH * self._num_processes
        layout = Layout(ahead + _LENT, batch_size, size_px)
        if isinstance(self._faces, FaceSet):
            indices = self._faces.joined_rows(indices)
        jobs: deque[Job] = deque()
        with self._lent_team() as team:
            lending = team.open_stretch(Stretch(layout, colour, augment))
            for number, start in enumerate(range(0, len(indices), batch_size)):
                if len(jobs) == ahead:
                    yield _decoded(team, lending, jobs.popleft())
                part = slice(start, start + batch_size)
                slot = lending.take(indices[part], flips[part])
                job = Job(slot, len(indices[part]), start)
                team.ask(number, job)
                jobs.append(job)
            while jobs:
                yield _decoded(team, lending, jobs.popleft())

    @contextmanager
    def _lent_team(self) -> Iterator[DecodingTeam]:
        """Processes for one stretch; after an error they end, since answers may be under way."""
        try:
            team = self._idle.pop()
        except IndexError:
            faces = self._faces
            whereabouts = faces.unlabelled() if isinstance(faces, FaceSet) else faces
            team = DecodingTeam(whereabouts, self._num_processes)
        try:
            try:
                yield team
            except GeneratorExit:
                team.settle()
                raise
        except GeneratorExit:
            self._idle.append(team)
            raise
        except BaseException:
            team.close()
            raise
        self._idle.append(team)


def _decoded(team: DecodingTeam, lending: Lending, job: Job) -> DecodedBatch:
    answer = team.answer()
    bad = {place: DataError(message) for place, message in answer.bad.items()}
    return DecodedBatch(lending.lend(job.slot, job.count - len(bad)), job.start, bad)
