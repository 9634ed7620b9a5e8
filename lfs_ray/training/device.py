"""The process that trains: device, threads, arithmetic, determinism."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Literal

import torch

from lfs_ray.config.machine import WorkerConfig
from lfs_ray.errors import ConfigError

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def prepare_process(worker: WorkerConfig) -> torch.device:
    """Set up this process as the method keys say and return its device.

    Raises:
        ConfigError: `worker.device` is cuda and this process sees no GPU.
    """
    if worker.deterministic:
        # cuBLAS reads it once, when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(worker.deterministic, warn_only=False)
    torch.backends.cudnn.benchmark = not worker.deterministic
    torch.set_num_threads(worker.threads)
    device = device_kind_here(worker)
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "worker.device cuda needs a GPU in every worker, found none here: set worker.device "
            "to cpu, or worker.gpus above 0 on machines with GPUs"
        )
    return torch.device(device)


def device_kind_here(worker: WorkerConfig) -> Literal["cpu", "cuda"]:
    """The method key `worker.device`, resolved in this process."""
    if worker.device != "auto":
        return worker.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Arithmetic of the backbone's forward pass."""
    dtype = AUTOCAST[precision]
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def device_name(device: torch.device) -> str:
    """For the trial table: "cpu" or the GPU's model name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
