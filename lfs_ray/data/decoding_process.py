"""A process that decodes batches into shared memory, one at a time, on one thread.

    python -P -m lfs_ray.data.decoding_process FD

Data flow: `decoders` starts it, sends it the images' whereabouts and then, batch by batch, a slot
of `shared_batches` -> here -> pixels in that slot and a short answer. It takes neither torch nor
Ray. It ends when the other end of its socket closes, which the death of the consumer does, too.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

from lfs_ray.data.batch_decoding import decode_batch
from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.decoding_jobs import Answer, Job, Stretch
from lfs_ray.data.shared_batches import SharedBatches
from lfs_ray.errors import DataError


def serve(consumer: Connection) -> None:
    """Take the images' whereabouts, then decode what is asked for until the consumer is gone."""
    answers = _answers(consumer)
    while True:
        try:
            answer = next(answers)
        except (EOFError, ConnectionError):
            return
        except DataError as error:
            answer = Answer(failure=str(error))
        except Exception:
            answer = Answer(bug=traceback.format_exc())
        with suppress(ConnectionError):
            consumer.send(answer)
        if answer.failure or answer.bug:
            return


def _answers(consumer: Connection) -> Iterator[Answer]:
    """An answer to each job."""
    faces: LabelledImages = consumer.recv()
    stretch: Stretch | None = None
    batches: SharedBatches | None = None
    while True:
        message: Stretch | Job = consumer.recv()
        if isinstance(message, Stretch):
            stretch = message
            if stretch.new_memory:
                file = recv_handle(consumer)
                batches = SharedBatches(file, stretch.layout)
                os.close(file)
        else:
            assert stretch is not None
            assert batches is not None
            yield _decode(message, faces, stretch, batches)


def _decode(job: Job, faces: LabelledImages, stretch: Stretch, batches: SharedBatches) -> Answer:
    indices, flips = batches.question(job.slot, job.count)
    bad = decode_batch(
        batches.images(job.slot, job.count),
        faces,
        indices,
        flips,
        start=job.start,
        colour=stretch.colour,
        augment=stretch.augment,
    )
    return Answer({place: str(error) for place, error in bad.items()})


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the consumer's, whose end is ours
    serve(Connection(int(sys.argv[1])))
