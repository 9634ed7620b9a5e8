"""Lists as they are: every line that can be read, with labels as written, and those that cannot.

Data flow: list file -> here -> `opening`. Training's reader stops at the first wrong line; here it
is a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.finding import Finding, found
from lfs_ray.data.listing import Keys, read_list
from lfs_ray.data.packing.im2rec_list import is_im2rec_list
from lfs_ray.errors import DataError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, eq=False)
class LenientList:
    """What a list says."""

    keys: Keys
    """(N,)"""
    labels: NDArray[np.float64]
    """Labels as written, (N,)."""
    findings: tuple[Finding, ...]
    """Lines that are not `key label`."""


def read_leniently(path: Path) -> LenientList:
    """Read a list of `key label` lines, or of im2rec (`index<TAB>label...<TAB>path`).

    Raises:
        DataError: The file cannot be read.
    """
    if is_im2rec_list(path):
        return _line_by_line(path, im2rec=True)
    try:
        listing = read_list(path)
    except DataError:
        return _line_by_line(path, im2rec=False)
    return LenientList(listing.keys, listing.labels.astype(np.float64), ())


def _line_by_line(path: Path, *, im2rec: bool) -> LenientList:
    try:
        lines = path.read_bytes().removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    except OSError as error:
        raise DataError(f"list {path} must be a readable file ({error.strerror})") from None
    keys: list[bytes] = []
    labels: list[float] = []
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parsed = _im2rec_line(line) if im2rec else _plain_line(line)
        if parsed is None:
            text = line.strip()[:60].decode(errors="backslashreplace")
            wrong.append(f"{path} line {number}: {text}")
        else:
            keys.append(parsed[0])
            labels.append(parsed[1])
    findings = tuple(found("unreadable-lines", len(wrong), wrong))
    return LenientList(Keys.of(keys), np.array(labels, np.float64), findings)


def _plain_line(line: bytes) -> tuple[bytes, float] | None:
    parts = line.rstrip().rsplit(None, 1)
    return _checked(*parts) if len(parts) == 2 else None


def _im2rec_line(line: bytes) -> tuple[bytes, float] | None:
    fields = line.rstrip(b"\r\n").split(b"\t")
    return _checked(fields[-1], fields[1]) if len(fields) >= 3 else None


def _checked(key: bytes, label: bytes) -> tuple[bytes, float] | None:
    try:
        key.decode()
        value = float(label)
    except ValueError:
        return None
    return (key, value) if np.isfinite(value) else None
