"""Room on the disk for files that are written through memory.

Data flow: an open file -> here -> blocks of the disk for all of it. A page of a mapped file for
which the disk has no room kills the process (SIGBUS), so room is asked for first.
"""

from __future__ import annotations

import os

from lfs_ray.errors import DataError


def reserve_room(file_number: int, num_bytes: int, place: str | os.PathLike[str]) -> None:
    """Give an open file its blocks on the disk; its content stays, missing bytes become zeros.

    Args:
        file_number: The file, open for writing.
        num_bytes: How long it is to be, 0 or more.
        place: What to call its place in an error.

    Raises:
        DataError: The disk has no room for it.
    """
    if not num_bytes:
        return
    try:
        os.posix_fallocate(file_number, 0, num_bytes)
    except OSError as error:
        raise DataError(
            f"the disk of {os.fspath(place)} must have room for {num_bytes / 1e6:.1f} MB, it has "
            f"not ({error.strerror}): make room or choose another place"
        ) from None
