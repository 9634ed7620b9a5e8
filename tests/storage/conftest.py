"""An S3 server for the session, and a bucket of its own for every test."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator

import pytest
from faulty_proxy import FaultyProxy
from s3_server import ENVIRONMENT, make_bucket, s3_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def all_loaded() -> None:
    """The libraries of a search set variables of the environment when they are loaded."""
    importlib.import_module("lfs_ray.driver.search")


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Port of the server."""
    with s3_server() as port:
        yield port


@pytest.fixture
def bucket(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a new bucket; the environment holds the keys to it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_NUMBERS)}"
    make_bucket(s3_port, name)
    return name


@pytest.fixture
def proxy(s3_port: int) -> Iterator[FaultyProxy]:
    """Between pyarrow and the server."""
    proxy = FaultyProxy(s3_port)
    yield proxy
    proxy.close()
