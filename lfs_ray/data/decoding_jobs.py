"""What a consumer and its decoding processes say to each other.

Data flow: `decoders` -> these, over a private socket -> `decoding_process`, and an answer back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lfs_ray.data.augment import AugmentedStream
from lfs_ray.data.shared_batches import Layout


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the batches of a stretch of the stream have in common."""

    layout: Layout
    colour: str
    augment: AugmentedStream | None
    new_memory: bool = True
    """The descriptor of its memory follows; else it is that of the stretch before.

    Memory costs as much as the decoding of hundreds of images: the system clears each page, and
    each process finds it.
    """


@dataclass(frozen=True, slots=True)
class Job:
    """One batch to decode; which images lies in its slot."""

    slot: int
    count: int
    start: int
    """Offset of its first image in the stretch."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A batch lies in its slot, but for what is said here."""

    bad: dict[int, str] = field(default_factory=dict)
    """Why a place of the batch has no pixels."""
    failure: str = ""
    """Why there is no batch at all: data that cannot be opened."""
    bug: str = ""
    """Traceback of anything else."""
