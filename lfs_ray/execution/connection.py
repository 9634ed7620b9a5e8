"""This process's connection to Ray: a cluster that is named or runs here, else one of our own.

A Ray that is started here is closed: every socket of it is bound to the loopback interface, and
every call must carry the token that only this user can read. A cluster that is joined was set up
by somebody else (`ray up cluster.yaml`), who decides where it listens.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, services
from ray.tune.execution import class_cache

from lfs_ray.config.machine import WorkerConfig
from lfs_ray.errors import RunError

NAMESPACE = "lfs-ray"
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Ctrl-C is ours: Tune's handler would end the search as if it had come to its end.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # The older output engine is the one that can be silent.
    "RAY_AIR_NEW_OUTPUT": "0",
}
_QUIET: dict[str, Any] = {
    "log_to_driver": False,
    "logging_level": "ERROR",
    "namespace": NAMESPACE,
}
_ADDRESS = "RAY_ADDRESS"
_SECRET_PREFIX = "AWS_"
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_TOKEN_BYTES = 32


def connect(worker: WorkerConfig) -> bool:
    """Connect to the cluster that the configuration names, else to a running one, else start one.

    Returns:
        Whether Ray was started or connected to here (False: this process was connected already).

    Raises:
        RunError: no cluster answers at `worker.ray_address`.
    """
    if ray.is_initialized():
        return False
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    _keep_credentials_here()
    try:
        if worker.ray_address:
            ray.init(address=worker.ray_address, **_QUIET)
        elif _cluster_runs_here():
            ray.init(**_QUIET)
        else:
            _start()
    except ConnectionError as error:
        raise RunError(
            f"a Ray cluster must answer at {worker.ray_address or os.environ.get(_ADDRESS)}, "
            f"found none: start it with `ray up`, or leave worker.ray_address empty"
        ) from error
    return True


def started_here() -> bool:
    """Whether the cluster is this process's own: one that was joined may still grow."""
    # Ray has no public word for it.
    node: Any = ray._private.worker._global_node
    return bool(node and node.is_head())


def disconnect() -> None:
    """Leave the cluster; one that was started here ends."""
    ray.shutdown()


def make_token() -> None:
    """Make the user's Ray token where there is none: Ray would make one that all may read."""
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    path = Path.home() / ".ray" / "auth_token"
    if path.exists() or any(os.environ.get(name) for name in _TOKENS):
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    whole = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_hex(_TOKEN_BYTES))
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.link(whole, path)
    finally:
        whole.unlink(missing_ok=True)


def _cluster_runs_here() -> bool:
    """Whether RAY_ADDRESS or a `ray start` on this machine names a cluster.

    What `ray.init()` asks itself; not its "auto", which takes other people's private ones too.
    """
    nothing: Any = None  # annotated as a text
    return services.canonicalize_bootstrap_address(nothing) is not None


def _start() -> None:
    make_token()
    with _loopback():
        ray.init(address="local", include_dashboard=False, dashboard_host="127.0.0.1", **_QUIET)


def _keep_credentials_here() -> None:
    """Let Tune send no credentials of this process to the nodes, which write them to their logs.

    On a Ray of our own the workers have this process's environment; in a cluster every node has
    credentials of its own.
    """
    names: set[str] = class_cache.ENV_VARS_TO_PROPAGATE
    names -= {name for name in names if name.startswith(_SECRET_PREFIX)}


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Let a Ray that is started meanwhile take 127.0.0.1 for its machine's address.

    Ray's sockets are bound to all interfaces unless the node's address is a loopback one, and
    `ray.init` makes a public address of any loopback one that it is given. Only for systems on
    which clusters are no use does it keep to loopback: that switch, for this call.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
