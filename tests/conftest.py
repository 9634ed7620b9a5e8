"""Settings and leak checks for every test.

Ray is told before any import of it to stay quiet, local and closed. A test must leave no thread
and no Ray connection behind (the session's shared cluster is a session fixture's business). With
CI set, a test that is skipped without the `gpu` marker fails: a missing dependency must not look
like success.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes any example slow: time is measured in benchmarks, never in tests.
settings.register_profile("lfs_ray", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lfs_ray")

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
os.environ.update(_ENVIRONMENT)

# Torch sets the second with the first step of an optimizer, Ray the third with its import.
_SET_BY_LIBRARIES = ("PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR", "RAY_CLIENT_MODE")
_THREADS_END_WITHIN_S = 2.0


def _threads() -> set[threading.Thread]:
    # A pool that a library keeps for the life of the process is daemonic; a leak of ours is not.
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _threads_left(before: set[threading.Thread], within_s: float) -> set[threading.Thread]:
    """Threads that were not there before and have not ended within the time given."""
    deadline = time.monotonic() + within_s
    while (left := _threads() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _is_ray_connected() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves threads, environment variables or a Ray connection behind."""
    threads, variables = _threads(), dict(os.environ)
    connected = _is_ray_connected()
    yield
    if request.node.get_closest_marker("ray") is None:
        assert _is_ray_connected() == connected, "a test without the ray marker changed Ray"
        left = _threads_left(threads, _THREADS_END_WITHIN_S)
        assert not left, f"threads left running: {sorted(thread.name for thread in left)}"
        changed = {
            name
            for name in variables.keys() | os.environ.keys()
            if variables.get(name) != os.environ.get(name) and name not in _SET_BY_LIBRARIES
        }
        assert not changed, f"environment variables changed: {sorted(changed)}"


def _is_failure_in_ci(outcome: str, node: pytest.Item | pytest.Collector) -> bool:
    return outcome == "skipped" and "CI" in os.environ and not node.get_closest_marker("gpu")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where CI is set, unless the test is marked `gpu`."""
    report = yield
    if _is_failure_in_ci(report.outcome, item) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole."""
    report = yield
    if _is_failure_in_ci(report.outcome, collector):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
