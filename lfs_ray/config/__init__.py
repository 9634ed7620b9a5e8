"""Configuration: sections (dataclasses), load (TOML and flags), check, resolve, dump, resume."""

from lfs_ray.config.sections import (
    Config,
    DataConfig,
    LoggingConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PopulationConfig,
    ReportConfig,
    RewardConfig,
    RunConfig,
    SearchConfig,
    StorageConfig,
    WorkerConfig,
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
