"""The sections on how a run is carried out: processes, what is kept, what is shown.

As sections.py, of which they are a part. Few of their keys are keys of the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerConfig:
    """The processes that train, and what each may use."""

    executor: Literal["ray", "serial"] = "ray"
    """`serial` trains in this process, without Ray; same results."""
    count: int | None = None
    """Workers; None: the smaller of all members and the GPUs (or cores)."""
    cpus: float = 1.0
    """Cores Ray reserves for a worker."""
    gpus: float | None = None
    """GPUs Ray reserves for a worker, fractions allowed; None: 1 where Ray has any, else 0."""
    loader_threads: int = 1
    """Threads that decode images in a worker."""
    loader_processes: int = 0
    """Processes that decode instead, each on one core: faster than as many threads; 0: none."""
    ray_address: str = ""
    """Ray cluster to use; empty: a running one if there is one, else a new local one."""
    heartbeat_s: float = 5.0
    """Seconds between a worker's signs of life."""
    lease_timeout_s: float = 60.0
    """Seconds without a sign of life after which a trial is leased again."""
    backup_trials: bool = False
    """Workers without work train a second copy of a late trial; the first that ends counts."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto: cuda where there is a GPU. A method key: resolved once for the run."""
    threads: int = 1
    """Compute threads of a worker on CPU; a method key, since more threads change the bits."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the backbone; a method key."""
    deterministic: bool = True
    """Deterministic algorithms only; a method key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageConfig:
    """What a run keeps."""

    keep_last: int = 2
    """Parents of closed rounds kept, besides the best and the last."""
    parents: Literal["auto", "files", "object_store"] = "auto"
    """How workers get the round's parent: files: each reads it from the run's storage;
    object_store: each node fetches it once through Ray's object store, and reads the storage where
    that fails; auto: the object store where the run lies on s3:// or the like and has several
    workers, else files. The same bits either way; serial runs read files."""
    fsync: bool = True
    """Flush files to the disk before they count as written."""
    compact_rounds: int = 64
    """Closed rounds that are joined into one file of the trial table; 0: never."""
    retry_s: float = 60.0
    """Seconds for which a file operation that fails is tried again, where the failure may pass
    (an outage, not a full disk); then the search stops with the reason. 0: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggingConfig:
    """What is shown while a search runs."""

    live: Literal["auto", "always", "never"] = "auto"
    """Live table; auto: where the output is a terminal, plain lines elsewhere."""
