"""Fingerprint of the files of a source: it changes when one of them changes.

Data flow: names, sizes and modification times -> here -> digest that the packing pipeline compares
before it resumes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from lfs_ray.errors import DataError


class Fingerprint:
    """Running digest over files, one after the other."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str, status: os.stat_result) -> None:
        """Take in a file under a name that does not depend on where the source lies."""
        row = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
        self._digest.update(row.encode("utf-8", "surrogateescape"))

    def text(self) -> str:
        """The digest so far, hexadecimal."""
        return self._digest.hexdigest()


def fingerprint_of(files: Iterable[Path]) -> str:
    """Digest of a few files by their names, in the order given.

    Raises:
        DataError: A file is missing or may not be looked at.
    """
    total = Fingerprint()
    for file in files:
        try:
            total.add(file.name, file.stat())
        except OSError as error:
            raise DataError(f"{file} must be a readable file ({error.strerror})") from None
    return total.text()
