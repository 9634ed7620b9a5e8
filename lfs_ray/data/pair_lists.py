"""Text of a pair list to rows, whichever of three formats it has.

Data flow: list file -> here -> rows -> `pairs.read_pairs`. The format is told by the first line:

    fold<TAB>same<TAB>a<TAB>b   table with a header; a and b are image keys, same is 0 or 1
    10<TAB>300                  LFW pairs.txt: 10 folds, each 300 same, then 300 different
    500                         LFW development list: 500 same, then 500 different, no folds

LFW lines are `name i j` (same) or `name1 i name2 j` (different); the image is name/name_%04d.jpg.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from lfs_ray.errors import DataError

_COLUMNS = ("fold", "same", "a", "b")
_DEVELOPMENT_FOLDS = 10


class PairRow(NamedTuple):
    """One pair of images."""

    fold: int
    same: bool
    a: str
    b: str
    line: int


class _Line(NamedTuple):
    number: int
    fields: list[str]


def parse_pairs(path: str | os.PathLike[str]) -> list[PairRow]:
    """Rows of a pair list, in the order of its lines.

    Raises:
        DataError: The file is missing, of no known format, or a line doesn't fit; names the line.
    """
    lines = _read_lines(path)
    header = lines[0].fields
    if sorted(header) == sorted(_COLUMNS):
        return [_parse_table_line(path, header, line) for line in lines[1:]]
    if not all(field.isdigit() and int(field) for field in header) or len(header) > 2:
        _refuse(path, lines[0], 'be the header "fold same a b", "folds pairs" or "pairs"')
    folds, per_fold = (1, int(header[0])) if len(header) == 1 else map(int, header)
    if len(lines) - 1 != 2 * folds * per_fold:
        raise DataError(
            f"{path} must list {2 * folds * per_fold} pairs by its first line, it "
            f"lists {len(lines) - 1}"
        )
    rows = [
        _parse_lfw_line(path, line, place // (2 * per_fold), place % (2 * per_fold) < per_fold)
        for place, line in enumerate(lines[1:])
    ]
    return _deal_folds(rows, per_fold) if len(header) == 1 else rows


def _read_lines(path: str | os.PathLike[str]) -> list[_Line]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"pair list {path} must be a readable file ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"pair list {path} must be UTF-8 text ({error.reason})") from None
    numbered = ((number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1))
    lines = [_Line(number, _fields(line)) for number, line in numbered if line.strip()]
    if not lines:
        raise DataError(f"pair list {path} must list pairs, it is empty")
    return lines


def _fields(line: str) -> list[str]:
    return [field.strip() for field in line.split("\t")] if "\t" in line else line.split()


def _parse_table_line(path: str | os.PathLike[str], header: Sequence[str], line: _Line) -> PairRow:
    if len(line.fields) != len(header):
        _refuse(path, line, f"have the {len(header)} fields {' '.join(header)}")
    row = dict(zip(header, line.fields, strict=True))
    if not row["fold"].isdigit() or row["same"] not in ("0", "1") or not row["a"] or not row["b"]:
        _refuse(path, line, "have a fold (0, 1, ...), same (0 or 1) and two image keys")
    return PairRow(int(row["fold"]), row["same"] == "1", row["a"], row["b"], line.number)


def _parse_lfw_line(path: str | os.PathLike[str], line: _Line, fold: int, same: bool) -> PairRow:
    fields = line.fields
    if same:
        if len(fields) != 3 or not (fields[1].isdigit() and fields[2].isdigit()):
            _refuse(path, line, 'be a same pair, "name i j"')
        fields = [fields[0], fields[1], fields[0], fields[2]]
    elif len(fields) != 4 or not (fields[1].isdigit() and fields[3].isdigit()):
        _refuse(path, line, 'be a different pair, "name1 i name2 j"')
    a, b = (f"{name}/{name}_{int(n):04d}.jpg" for name, n in (fields[:2], fields[2:]))
    return PairRow(fold, same, a, b, line.number)


def _deal_folds(rows: Sequence[PairRow], per_kind: int) -> list[PairRow]:
    """Consecutive blocks of the same pairs and of the different pairs: every fold has both."""
    folds = min(_DEVELOPMENT_FOLDS, per_kind)
    return [
        row._replace(fold=place % per_kind * folds // per_kind) for place, row in enumerate(rows)
    ]


def _refuse(path: str | os.PathLike[str], line: _Line, must: str) -> NoReturn:
    shown = " ".join(line.fields)[:60]
    raise DataError(f'{path} line {line.number} must {must}, got "{shown}"')
