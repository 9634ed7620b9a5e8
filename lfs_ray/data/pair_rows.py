"""Rows of a pair list, and the lines of text they come from.

Data flow: list file -> lines -> `pair_lists` and the readers of each format -> rows -> `pairs`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, NoReturn

from lfs_ray.errors import DataError


class PairRow(NamedTuple):
    """One pair of images."""

    fold: int
    same: bool
    a: str
    b: str
    place: str
    """File and line, for messages."""


class Line(NamedTuple):
    """One line that is not blank."""

    place: str
    """File and line number, for messages."""
    fields: list[str]
    """Split at tabs where it has some, so that names may hold blanks; else at blanks."""
    text: str
    """The line without blanks around it."""

    def refuse(self, must: str) -> NoReturn:
        """Raise the DataError of a line that doesn't fit."""
        shown = " ".join(self.fields)[:60]
        raise DataError(f'{self.place} must {must}, got "{shown}"')


def read_lines(path: str | os.PathLike[str], what: str = "pair list") -> list[Line]:
    """Lines of a UTF-8 text that are not blank, with Unix or Windows ends.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        DataError: The file is missing, empty or not UTF-8.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{what} {path} must be a readable file ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{what} {path} must be UTF-8 text ({error.reason})") from None
    lines = [
        Line(f"{path} line {number}", _fields(line.rstrip("\r")), line.strip())
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
    if not lines:
        raise DataError(f"{what} {path} must have lines, it is empty")
    return lines


def _fields(line: str) -> list[str]:
    return [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
