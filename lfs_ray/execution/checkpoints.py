"""Checkpoints of one worker process: parents come in, trained states go out.

What passed through lately stays in memory: the worker that stored the winner of a round doesn't
read it again for the next one. It doesn't import torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from lfs_ray.errors import RunError
from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Checkpoint, Lease, Parent
from lfs_ray.storage import Storage
from lfs_ray.training.checkpoint import decode, digest, encode, with_momentum_of
from lfs_ray.training.tensor_bytes import Arrays


class Checkpoints:
    """Reads parents and writes checkpoints.

    Args:
        storage: the run directory.
        keep: states that stay in memory.
    """

    def __init__(self, storage: Storage, *, keep: int) -> None:
        self.storage = storage
        self.keep = keep
        self._recent: OrderedDict[str, Arrays] = OrderedDict()

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
        """A parent's arrays, from this process or from the run's files; not to be written to.

        Raises:
            RunError: the file is not what was stored.
        """
        wanted = parent.checkpoint
        recent = self._recent.get(wanted.name)
        if recent is not None:
            return recent
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
        arrays, _ = decode(blob, name=wanted.name)
        self._remember(wanted.name, arrays)
        return arrays

    def store(self, lease: Lease, arrays: Arrays, facts: Mapping[str, object]) -> Checkpoint:
        """Write what a lease ended with; the arrays are kept and must not change any more."""
        of_trial = {
            "population": lease.population,
            "round": lease.round,
            "member": lease.member,
            "theta": list(lease.theta),
        }
        name, parts = checkpoint_name(lease), encode(arrays, {**facts, **of_trial})
        # Both let go of the interpreter: the digest is ready when the disk is.
        with ThreadPoolExecutor(1) as beside:
            digested = beside.submit(digest, *parts)
            size_bytes = self.storage.write(name, *parts)
        self._remember(name, arrays)
        return Checkpoint(name=name, size_bytes=size_bytes, digest=digested.result())

    def _remember(self, name: str, arrays: Arrays) -> None:
        self._recent[name] = arrays
        while len(self._recent) > self.keep:
            self._recent.popitem(last=False)
