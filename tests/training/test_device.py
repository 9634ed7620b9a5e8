from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from lfs_ray.config.machine import WorkerConfig
from lfs_ray.errors import ConfigError
from lfs_ray.training.device import autocast, device_name, prepare_process


@pytest.fixture(autouse=True)
def _process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    benchmark = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark
    torch.set_num_threads(threads)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize("deterministic", [True, False])
def test_the_process_is_set_up_as_the_method_says(deterministic: bool) -> None:
    device = prepare_process(WorkerConfig(device="cpu", threads=2, deterministic=deterministic))
    assert device == torch.device("cpu")
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.backends.cudnn.benchmark != deterministic
    assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == deterministic


def test_a_gpu_that_is_asked_for_and_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"^worker\.device cuda needs a GPU"):
        prepare_process(WorkerConfig(device="cuda"))
    assert prepare_process(WorkerConfig(device="auto")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_the_backbone_computes_in_the_precision_asked_for(
    precision: str, dtype: torch.dtype
) -> None:
    with autocast(torch.device("cpu"), precision):
        assert torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype == dtype


def test_the_processor_is_called_cpu() -> None:
    assert device_name(torch.device("cpu")) == "cpu"
