"""Text files that appear whole or not at all.

Data flow: lists, manifests and pages of this room -> here -> disk.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from lfs_ray.errors import DataError


def write_whole(path: str | os.PathLike[str], parts: Iterable[str]) -> None:
    """Write UTF-8 text to a temporary sibling, then give it its name; an old file is replaced.

    Raises:
        DataError: The file cannot be written there; the old one stays.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
        os.replace(temporary, target)
    except OSError as error:
        raise DataError(
            f"{target} must be a file in a writable folder ({error.strerror or error}): make the "
            "folder or choose another"
        ) from None
    finally:
        # Where nothing can be written nothing can be removed.
        with contextlib.suppress(OSError):
            temporary.unlink()
