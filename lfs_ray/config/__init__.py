"""Configuration: sections (dataclasses), load (TOML and flags), check, resolve, dump, resume."""

from lfs_ray.config.machine import LoggingConfig, StorageConfig, WorkerConfig
from lfs_ray.config.sections import (
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PopulationConfig,
    ReportConfig,
    RewardConfig,
    RunConfig,
    SearchConfig,
)

__all__ = [
    "Config",
    "DataConfig",
    "LoggingConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PopulationConfig",
    "ReportConfig",
    "RewardConfig",
    "RunConfig",
    "SearchConfig",
    "StorageConfig",
    "WorkerConfig",
]
