"""cluster.yaml passes Ray's own checks and keeps the cluster closed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[1]


def load() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    assert isinstance(config, dict)
    return config


def check(config: dict[str, Any]) -> dict[str, Any]:
    prepared: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def test_ray_accepts_it() -> None:
    prepared = check(load())
    assert sum(kind["min_workers"] for kind in prepared["available_node_types"].values()) >= 1


def test_ray_would_see_a_misspelt_key() -> None:
    config = load()
    config["available_node_types"]["gpu"]["min_worker"] = 1
    with pytest.raises(ValidationError, match="min_worker"):
        check(config)


def test_ray_would_see_a_wrong_head() -> None:
    config = load() | {"head_node_type": "heads"}
    with pytest.raises(ValueError, match="head_node_type"):
        check(config)


def test_the_head_takes_no_trials_and_is_not_preemptible() -> None:
    head = load()["available_node_types"]["head"]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]


def test_every_ray_process_asks_for_the_token_and_nothing_listens_outside() -> None:
    prepared = check(load())
    commands = prepared["head_start_ray_commands"] + prepared["worker_start_ray_commands"]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert all("chmod 600 ~/.ray/auth_token;" in command for command in starts)
    (shells,) = load()["head_setup_commands"]
    assert "export RAY_AUTH_MODE=token" in shells
    assert "--dashboard-host=127.0.0.1" in prepared["head_start_ray_commands"][-1]
    assert "0.0.0.0" not in str(prepared)
    assert "~/.ray/auth_token" in prepared["file_mounts"]
    assert "IpPermissions" not in prepared["provider"]["security_group"]


def test_the_image_holds_the_tested_ray() -> None:
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    (ray_version,) = [line[5:] for line in constraints if line.startswith("ray==")]
    docker = load()["docker"]
    for image in (docker["image"], docker["head_image"]):
        assert image.split(":")[1].startswith(f"{ray_version}-py311-")
