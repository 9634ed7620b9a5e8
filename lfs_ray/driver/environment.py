"""environment.toml: what a run was computed with: versions, machine, data, split."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import tomli_w

from lfs_ray import __version__
from lfs_ray.errors import RunError
from lfs_ray.storage import Storage

ENVIRONMENT_NAME = "environment.toml"
_PACKAGES = ("torch", "ray", "numpy", "pyarrow", "pandas", "lmdb", "protobuf", "simplejpeg")


_SAME_DATA = ("digest", "images", "identities", "reward_pairs", "reward_images")


def record_environment(storage: Storage, manifest: Mapping[str, object]) -> None:
    """Write environment.toml where a run has none yet."""
    if not storage.exists(ENVIRONMENT_NAME):
        content = {"versions": _versions(), "machine": _machine(), "data": dict(manifest)}
        storage.write(ENVIRONMENT_NAME, tomli_w.dumps(content).encode())


def check_environment(storage: Storage, manifest: Mapping[str, object]) -> None:
    """Compare the data with those that a run began with, if it has begun.

    Raises:
        RunError: they are others, or environment.toml can't be read.
    """
    if not storage.exists(ENVIRONMENT_NAME):
        return
    try:
        before = tomllib.loads(storage.read(ENVIRONMENT_NAME).decode())["data"]
    except (ValueError, KeyError) as error:
        raise RunError(
            f"{storage.path(ENVIRONMENT_NAME)} must be what lfs-ray wrote, found something else "
            f"({error!r}): restore it from a copy"
        ) from error
    for key in _SAME_DATA:
        if before.get(key) != manifest[key]:
            raise RunError(
                f"a resume must see the data that its run began with, found {key} "
                f"{manifest[key]} instead of {before.get(key)}: restore the data, or start "
                f"a new run"
            )


def _versions() -> dict[str, str]:
    found = {"lfs_ray": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _machine() -> dict[str, str]:
    return {"system": platform.platform(), "processor": platform.machine()}
