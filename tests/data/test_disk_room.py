from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lfs_ray.data.disk_room import reserve_room
from lfs_ray.errors import DataError


@pytest.mark.parametrize("size", [0, 3, 100_000])
def test_blocks_are_on_the_disk_and_the_content_stays(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("r+b") as file:
        reserve_room(file.fileno(), size, path)
    assert path.read_bytes() == b"abc" + bytes(max(size - 3, 0))
    assert path.stat().st_blocks * 512 >= path.stat().st_size


def test_no_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    told = "the disk of place must have room for 2.5 MB, it has not (No space left on device)"
    with pytest.raises(DataError) as caught:
        reserve_room(1, 2_500_000, "place")
    assert str(caught.value).startswith(told)
