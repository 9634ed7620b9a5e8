"""Small tar shards for tests."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path


def write_tar(
    path: Path,
    files: list[tuple[str, bytes]],
    *,
    tar_format: int = tarfile.USTAR_FORMAT,
    mtime: float = 0,
) -> Path:
    with tarfile.open(path, "w", format=tar_format) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), mtime
            archive.addfile(info, io.BytesIO(content))
    return path


def sample(name: str, image: bytes, label: int) -> list[tuple[str, bytes]]:
    return [(f"{name}.jpg", image), (f"{name}.cls", b"%d" % label)]
