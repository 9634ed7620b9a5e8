"""Names of the classes of a listed set: from its own table, or from the table beside a list.

Data flow: `labels.tsv` of a packed set (`name<TAB>label` lines), or `LIST.labels.tsv` of a cleaned
list (header, then label, label before, name) -> here -> class names of `lmdb`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lfs_ray.errors import DataError

LIST_TABLE_SUFFIX = ".labels.tsv"
_LIST_TABLE_HEADER = "label\told_label\tname"


def names_in_set(labels: Sequence[str], path: Path) -> list[str]:
    """Name of each label by `name<TAB>label` lines.

    Raises:
        DataError: The file cannot be read, a label has no name or two; names it.
    """
    rows = (line.rpartition("\t") for line in _lines(path))
    return _names(labels, ((label, name) for name, _, label in rows), path)


def names_beside_list(labels: Sequence[str], path: Path) -> list[str]:
    """Name of each label by lines of label, label before and name, after a header.

    Raises:
        DataError: The file cannot be read or has another header, a label has no name or two.
    """
    header, *lines = _lines(path) or [""]
    if header != _LIST_TABLE_HEADER:
        raise DataError(
            f"{path} must begin {_LIST_TABLE_HEADER!a}, got {header[:60]!a}: remove it to do "
            "without names"
        )
    rows = (line.split("\t", 2) for line in lines)
    return _names(labels, ((row[0], row[-1]) for row in rows), path)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a readable UTF-8 file ({error})") from None
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def _names(labels: Sequence[str], rows: Iterator[tuple[str, str]], path: Path) -> list[str]:
    names: dict[str, str] = {}
    for label, name in rows:
        if names.setdefault(label, name) != name:
            raise DataError(
                f"{path} must have one name for each label of the list, label {label} has two"
            )
    for label in labels:
        if label not in names:
            raise DataError(
                f"{path} must have one name for each label of the list, label {label} has none"
            )
    return [names[label] for label in labels]
