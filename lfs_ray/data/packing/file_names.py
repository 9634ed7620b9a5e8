"""The files a path stands for: a file, the files of a folder, or a pattern.

Data flow: path as the user gave it -> here -> sorted files of one format.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from lfs_ray.errors import DataError

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def is_pattern(place: Path) -> bool:
    """Whether a path that does not exist has braces or wild cards."""
    text = str(place)
    return not place.exists() and (has_magic(text) or bool(_BRACES.search(text)))


def expand(place: Path) -> list[Path]:
    """Files that a pattern names: `{000..012}` and `{a,b}` in the order written, `*` sorted.

    Raises:
        DataError: A name without wild cards is no file, or nothing matches.
    """
    files: list[Path] = []
    for name in _spellings(str(place)):
        if has_magic(name):
            files += map(Path, sorted(glob(name)))
        elif os.path.isfile(name):
            files.append(Path(name))
        else:
            raise DataError(f"{place} must name files that exist, {name} does not")
    if not files:
        raise DataError(f"{place} must name files that exist, nothing matches")
    return files


def find_files(place: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files at `place`: itself, those of a folder with one of `suffixes`, or those of a pattern.

    Raises:
        DataError: There is none.
    """
    if is_pattern(place):
        return expand(place)
    if place.is_dir():
        shown = (e for e in place.iterdir() if e.is_file() and not e.name.startswith("."))
        files = sorted(
            (e for e in shown if e.name.endswith(tuple(suffixes))), key=lambda e: e.name
        )
        if not files:
            raise DataError(f"{place} must hold {' or '.join(suffixes)} files, it holds none")
        return files
    if not place.is_file():
        raise DataError(f"{place} must be a file or folder, nothing lies there")
    return [place]


def short_names(files: Sequence[Path]) -> list[str]:
    """Names that tell files apart: without suffix, with their folders only where they differ."""
    if len(files) == 1:
        return [files[0].stem]
    root = os.path.commonpath([file.parent for file in files])
    return [str(file.relative_to(root).with_suffix("")).replace("/", "-") for file in files]


def _spellings(text: str) -> Iterator[str]:
    """All texts that the braces of `text` stand for."""
    found = _BRACES.search(text)
    if found is None:
        yield text
        return
    for choice in _choices(found.group(1)):
        yield from _spellings(text[: found.start()] + choice + text[found.end() :])


def _choices(inner: str) -> list[str]:
    if limits := _RANGE.fullmatch(inner):
        first, last = limits.groups()
        return [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return inner.split(",")
