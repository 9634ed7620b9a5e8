"""Checkpoints of one worker process: parents come in, trained states go out.

What passed through lately stays in memory: the worker that stored the winner of a round doesn't
read it again for the next one. Others may get it through an exchange (the object store). It
doesn't import torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lfs_ray.errors import RunError
from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Checkpoint, Lease, Parent
from lfs_ray.storage import Storage
from lfs_ray.training.checkpoint import decode, digest, encode, with_momentum_of
from lfs_ray.training.tensor_bytes import Arrays, Part


class Exchange(Protocol):
    """A quicker way to other workers than the run's files; it may fail at any time."""

    def offer(self, lease: Lease, parts: Sequence[Part]) -> None:
        """Hand over the bytes of a checkpoint that is being stored."""

    def fetch(self, checkpoint: Checkpoint) -> Part | None:
        """A checkpoint's bytes, not yet verified; None where they can't be had."""


class Checkpoints:
    """Reads parents and writes checkpoints.

    Args:
        storage: the run directory.
        keep: states that stay in memory.

    Attributes:
        exchange: asked for parents before the run's files are; None: there is none.
    """

    exchange: Exchange | None = None

    def __init__(self, storage: Storage, *, keep: int) -> None:
        self.storage = storage
        self.keep = keep
        self._recent: OrderedDict[str, tuple[int, Arrays]] = OrderedDict()

    def start_of(self, lease: Lease) -> Arrays | None:
        """What a lease's trial starts from, not to be written to; None: initial weights.

        Raises:
            RunError: a file is not what was stored.
        """
        if lease.parent is None:
            return None
        arrays = self.load(lease.parent)
        if lease.momentum is None:
            return arrays
        return with_momentum_of(arrays, self.load(lease.momentum))

    def load(self, parent: Parent) -> Arrays:
        """A parent's arrays: kept here, from the exchange, or from the run's files.

        They are not to be written to.

        Raises:
            RunError: the file is not what was stored.
        """
        wanted = parent.checkpoint
        recent = self._recent.get(wanted.name)
        if recent is not None:
            return recent[1]
        self._forget_before(parent)
        arrays, _ = decode(self._exchanged(wanted) or self._read(wanted), name=wanted.name)
        self._remember(wanted.name, parent.round, arrays)
        return arrays

    def _exchanged(self, wanted: Checkpoint) -> Part | None:
        blob = self.exchange.fetch(wanted) if self.exchange else None
        if blob is None or (len(blob), digest(blob)) != (wanted.size_bytes, wanted.digest):
            return None
        return blob

    def _read(self, wanted: Checkpoint) -> bytes:
        try:
            blob = self.storage.read(wanted.name)
        except OSError as error:
            raise RunError(
                f"the parent {self.storage.path(wanted.name)} must be readable, it is not "
                f"({error.strerror or error}): give access, or restore it from a copy"
            ) from error
        found = digest(blob)
        if len(blob) != wanted.size_bytes or found != wanted.digest:
            raise RunError(
                f"the parent {self.storage.path(wanted.name)} must hold {wanted.size_bytes} bytes "
                f"with digest {wanted.digest}, found {len(blob)} with {found}: restore it from a "
                f"copy"
            )
        return blob

    def store(self, lease: Lease, arrays: Arrays, facts: Mapping[str, object]) -> Checkpoint:
        """Write what a lease ended with; the arrays are kept and must not change any more."""
        of_trial = {
            "population": lease.population,
            "round": lease.round,
            "member": lease.member,
            "theta": list(lease.theta),
        }
        name, parts = checkpoint_name(lease), encode(arrays, {**facts, **of_trial})
        # All let go of the interpreter: digest and offer are ready when the storage is. An offer
        # of what is then not stored does no harm: nobody asks for it.
        with ThreadPoolExecutor(2) as beside:
            digested = beside.submit(digest, *parts)
            offered = beside.submit(self._offer, lease, parts)
            size_bytes = self.storage.write(name, *parts)
        offered.result()
        self._remember(name, lease.round, arrays)
        return Checkpoint(name=name, size_bytes=size_bytes, digest=digested.result())

    def _offer(self, lease: Lease, parts: Sequence[Part]) -> None:
        if self.exchange is not None:
            self.exchange.offer(lease, parts)

    def _forget_before(self, parent: Parent) -> None:
        # Nobody starts from an earlier round any more; what came through the object store would
        # hold its memory there for all processes of the node.
        folder = parent.checkpoint.name.rpartition("/")[0]
        for name, (number, _) in list(self._recent.items()):
            if name.rpartition("/")[0] == folder and number < parent.round:
                del self._recent[name]

    def _remember(self, name: str, number: int, arrays: Arrays) -> None:
        self._recent[name] = number, arrays
        while len(self._recent) > self.keep:
            self._recent.popitem(last=False)
