from __future__ import annotations

from pathlib import Path

import pytest

from lfs_ray.driver.environment import check_environment, record_environment
from lfs_ray.errors import RunError
from lfs_ray.storage import Storage

MANIFEST = {
    "digest": "abc",
    "images": 10,
    "identities": 3,
    "reward_pairs": 8,
    "reward_images": 6,
    "sources": [{"source": "faces", "offset": 0}],
}


def test_the_data_of_a_run_are_recorded_once(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    check_environment(storage, MANIFEST)
    assert not storage.list(), "a check writes nothing"
    record_environment(storage, MANIFEST)
    before = storage.read("environment.toml")
    record_environment(storage, {**MANIFEST, "digest": "other"})
    assert storage.read("environment.toml") == before
    check_environment(storage, {**MANIFEST, "sources": [{"source": "moved", "offset": 0}]})


@pytest.mark.parametrize("key", ["digest", "images", "identities", "reward_pairs"])
def test_other_data_are_refused_by_name(tmp_path: Path, key: str) -> None:
    storage = Storage(tmp_path)
    record_environment(storage, MANIFEST)
    with pytest.raises(RunError, match=f"found {key} 99 instead of {MANIFEST[key]}: restore"):
        check_environment(storage, {**MANIFEST, key: 99})


@pytest.mark.parametrize("text", [b"[data", b"[versions]\n", b"\xff"])
def test_a_broken_record_is_one_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "environment.toml").write_bytes(text)
    with pytest.raises(RunError, match="must be what lfs-ray wrote") as error:
        check_environment(Storage(tmp_path), MANIFEST)
    assert len(str(error.value).splitlines()) == 1
