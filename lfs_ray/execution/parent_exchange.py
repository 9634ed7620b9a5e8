"""Parents through Ray's object store: a worker's side of `parent_shelf`.

Where the run's storage is slow or far away, each node then fetches a parent once, and the workers
of a node share it. The bytes go to the policy actor as an argument, and the actor puts them: what
a worker puts itself dies with the worker. Whatever fails here costs a read of the run's files.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import ray
from ray.exceptions import RayError

from lfs_ray.execution.worker import Runner
from lfs_ray.search.messages import Checkpoint, Lease
from lfs_ray.training.tensor_bytes import Part

FIND_TIMEOUT_S = 10.0
_SLOWEST_BYTES_PER_S = 20e6
RunnerFactory = Callable[[], Runner]


class ParentExchange:
    """Hands checkpoints to the policy actor and takes parents from it.

    Args:
        actor: handle of the policy actor.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def offer(self, lease: Lease, parts: Sequence[Part]) -> None:
        """Hand over the bytes of a checkpoint; back when they are there, or never will be."""
        blob = np.concatenate([np.frombuffer(part, np.uint8) for part in parts])
        with contextlib.suppress(RayError):
            ray.get(self._actor.offer_parent.remote(lease, blob), timeout=_timeout_s(blob.nbytes))

    def fetch(self, checkpoint: Checkpoint) -> Part | None:
        """A checkpoint's bytes, shared by the node's processes; None where they can't be had."""
        try:
            refs = ray.get(self._actor.parent_ref.remote(checkpoint.name), timeout=FIND_TIMEOUT_S)
            if not refs:
                return None
            blob = ray.get(refs[0], timeout=_timeout_s(checkpoint.size_bytes))
        except RayError:
            return None
        return memoryview(blob)


@runtime_checkable
class SharesParents(Protocol):
    """A runner that can take parents from elsewhere than the run's files."""

    def share_parents(self, exchange: ParentExchange) -> None:
        """Use the exchange from now on."""


def uses_object_store(
    parents: Literal["auto", "files", "object_store"], *, remote: bool, workers: int
) -> bool:
    """Whether parents go through the object store.

    Args:
        parents: `storage.parents`.
        remote: whether the run lies on object storage and not in a folder.
        workers: number of workers.
    """
    if parents == "auto":
        return remote and workers > 1
    return parents == "object_store"


def sharing(make_runner: RunnerFactory, actor: Any) -> RunnerFactory:
    """A factory of runners that share their parents through the policy actor."""
    return functools.partial(_make_sharing, make_runner, actor)


def _make_sharing(make_runner: RunnerFactory, actor: Any) -> Runner:
    runner = make_runner()
    if isinstance(runner, SharesParents):
        runner.share_parents(ParentExchange(actor))
    return runner


def _timeout_s(size_bytes: int) -> float:
    return FIND_TIMEOUT_S + size_bytes / _SLOWEST_BYTES_PER_S
