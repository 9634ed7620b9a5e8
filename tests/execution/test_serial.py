"""The serial executor keeps the contract of all executors."""

from __future__ import annotations

from executor_cases import EPOCH_IMAGES, MakeRunner
from executor_contract import ExecutorContract

from lfs_ray.config.sections import Config
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.serial import run_serial
from lfs_ray.storage import Storage


class TestSerial(ExecutorContract):
    """A worker's death is the search's; it is begun again by hand."""

    deadly = "interrupt"

    @classmethod
    def run(cls, config: Config, storage: Storage, make_runner: MakeRunner) -> str:
        """Run in this process."""
        generation = start_generation(storage, config.populations)
        coordinator = Coordinator(config, EPOCH_IMAGES, storage, generation)
        return run_serial(coordinator, make_runner(), lambda lease, outcome: None)
