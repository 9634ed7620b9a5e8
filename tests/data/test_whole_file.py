from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lfs_ray.data.whole_file import write_whole
from lfs_ray.errors import DataError


def test_an_old_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "list.txt"
    target.write_text("old")
    write_whole(target, ["new\n", "lines\n"])
    assert target.read_bytes() == b"new\nlines\n"
    assert list(tmp_path.iterdir()) == [target]


def test_parts_that_fail_leave_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "list.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_whole(target, (str(1 // left) for left in (1, 0)))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_that_takes_no_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(DataError, match=r"n\.txt must be a file .*\(Read-only file system\)"):
        write_whole(tmp_path / "n.txt", ["a"])
