"""Addresses: what they are made of; credentials in them are refused and not repeated."""

from __future__ import annotations

import pytest

from lfs_ray.config.addresses import has_credentials, is_uri, joined, last_part, parted
from lfs_ray.config.build import build_config
from lfs_ray.config.check import check
from lfs_ray.errors import RunError
from lfs_ray.storage import Storage

SECRET = "wJalrXUtnFEMI"
WITH = (
    *(f"s3://AKIA:{SECRET}@bucket/run", f"s3://AKIA:{SECRET}/x%2By@bucket/run"),
    *(f"s3://AKIA:{SECRET}/x/y@bucket", f"S3://AKIA:{SECRET}@bucket", f"s3://AKIA%3A{SECRET}@b/x"),
    *(f"s3://bucket/run?access_key=A&secret_key={SECRET}", f"s3://bucket?SECRET_KEY={SECRET}"),
    *(f"s3://bucket/run?session_token={SECRET}", f"gs://bucket/run?access_token={SECRET}"),
    *(f"s3://bucket/run?region=x;secret_key={SECRET}", f"https://host/x?X-Amz-Signature={SECRET}"),
    *(f"abfs://box@account/x?account_key={SECRET}", f"abfs://box@account/x?sig={SECRET}"),
    *(f"abfs://:{SECRET}@account/box", f"hdfs://me:{SECRET}@host:8020/x"),
    *(f"s3://bucket/x?endpoint_override=me:{SECRET}@host:9000",),
    *(f"s3://bucket/x?endpoint_override=http://me:{SECRET}@host",),
    *(f"s3://bucket/x?endpoint_override=http%3A%2F%2Fme%3A{SECRET}%40host",),
)
WITHOUT = (
    *("", "runs", "/data/a:b@c", "C:/x", "user:pass@host", "s3://bucket", "s3://bucket/run"),
    *("s3://bucket/run?region=eu-west-1&scheme=http&endpoint_override=127.0.0.1:9000",),
    *("s3://bucket/run?endpoint_override=http://127.0.0.1:9000", "s3://bucket/a:b/c@d"),
    *(
        "gs://bucket/run",
        "gs://anonymous@bucket/run",
        "abfs://box@account/x",
        "hdfs://host:8020/x",
    ),
    *("hdfs://me@host:8020/x?replication=3", "file:///data/x", "s3://bucket/tokens/keys"),
)


@pytest.mark.parametrize("address", WITH)
def test_credentials_are_found(address: str) -> None:
    assert has_credentials(address)


@pytest.mark.parametrize("address", WITHOUT)
def test_other_addresses_are_none(address: str) -> None:
    assert not has_credentials(address)


@pytest.mark.parametrize("address", WITH)
def test_a_storage_refuses_them_and_does_not_repeat_them(address: str) -> None:
    with pytest.raises(RunError, match="must hold no credentials") as caught:
        Storage(address)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


KEYS = (
    *("run.dir", "run.name", "data.train", "data.lists", "data.validation_images"),
    *("data.validation_pairs", "report.x.images", "report.x.pairs", "worker.ray_address"),
)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_holds_some_is_told_alone(key: str) -> None:
    value: object = f"s3://AKIA:{SECRET}@bucket/x"
    table: dict[str, object] = {"search": {"members": 0}}
    *sections, last = key.split(".")
    inner = table
    for section in sections:
        inner = inner.setdefault(section, {})  # type: ignore[assignment]
    inner[last] = [value] if key in ("data.train", "data.lists") else value
    config, mistakes = build_config(table, place="x.toml")
    assert mistakes == []
    (line,) = check(config)
    assert line.startswith(f"{key} must be an address without credentials")
    assert SECRET not in line


@pytest.mark.parametrize(
    ("folder", "name", "whole"),
    [
        ("runs", "x", "runs/x"),
        ("runs/", "x/y", "runs/x/y"),
        ("/", "x", "/x"),
        ("a?b", "x", "a?b/x"),
        ("s3://bucket", "x", "s3://bucket/x"),
        ("s3://bucket/?region=a", "x", "s3://bucket/x?region=a"),
        (
            "s3://bucket/r?endpoint_override=http://h:1",
            "x",
            "s3://bucket/r/x?endpoint_override=http://h:1",
        ),
    ],
)
def test_a_folder_and_a_name_are_joined_and_parted(folder: str, name: str, whole: str) -> None:
    assert joined(folder, name) == whole
    assert last_part(whole) == name.split("/")[-1]
    if "/" not in name:
        assert joined(*parted(whole)) == whole
        assert parted(whole)[1] == name


def test_what_is_a_uri() -> None:
    assert all(map(is_uri, ("s3://b", "gs://b/x", "file:///x", "S3://b")))
    assert not any(map(is_uri, ("", "x", "/x", "C:/x", "x://"[1:], "://x")))
