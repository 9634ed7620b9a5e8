"""Lines of a pair list to rows, one function a format; `pair_lists` says which format is which.

Data flow: lines -> here -> rows. Folds are those the list states; where it states none they are
ten, blocks in the order of the list.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lfs_ray.data.folds import FOLDS, consecutive_folds, dealt_folds
from lfs_ray.data.pair_rows import Line, PairRow
from lfs_ray.errors import DataError

_COLUMNS = ("fold", "same", "a", "b")
_SAME = {"1": True, "0": False, "-1": False}


def table_columns(fields: Sequence[str]) -> bool:
    """Whether these are the fields of a table's header."""
    return sorted(fields) == sorted(_COLUMNS)


def parse_table(lines: Sequence[Line]) -> list[PairRow]:
    """Header `fold same a b`, in any order."""
    header = lines[0].fields
    if not table_columns(header):
        lines[0].refuse('be the header "fold same a b"')
    return [_table_row(header, line) for line in lines[1:]]


def _table_row(header: Sequence[str], line: Line) -> PairRow:
    if len(line.fields) != len(header):
        line.refuse(f"have the {len(header)} fields {' '.join(header)}")
    row = dict(zip(header, line.fields, strict=True))
    if not row["fold"].isdigit() or row["same"] not in ("0", "1") or not row["a"] or not row["b"]:
        line.refuse("have a fold (0, 1, ...), same (0 or 1) and two image keys")
    return PairRow(int(row["fold"]), row["same"] == "1", row["a"], row["b"], line.place)


def parse_lfw(lines: Sequence[Line]) -> list[PairRow]:
    """LFW's pairs.txt: a first line `folds pairs`; each fold its same, then its different."""
    per_kind = _header(lines, 2)
    return [
        _lfw_row(line, place // (2 * per_kind), place % (2 * per_kind) < per_kind)
        for place, line in enumerate(lines[1:])
    ]


def parse_development(lines: Sequence[Line]) -> list[PairRow]:
    """LFW's development lists: a first line `pairs`; consecutive blocks of each kind are dealt."""
    per_kind = _header(lines, 1)
    same = np.arange(2 * per_kind) < per_kind
    folds = dealt_folds(same, min(FOLDS, per_kind))
    return [
        _lfw_row(line, int(fold), bool(kind))
        for line, fold, kind in zip(lines[1:], folds, same, strict=True)
    ]


def _header(lines: Sequence[Line], num_fields: int) -> int:
    """Pairs of each kind in a fold; the list must have as many lines as the first one says."""
    first = lines[0]
    if len(first.fields) != num_fields or not all(f.isdigit() and int(f) for f in first.fields):
        first.refuse('be "folds pairs"' if num_fields == 2 else 'be the number of "pairs"')
    folds, per_kind = [1, *map(int, first.fields)][-2:]
    stated, found = 2 * folds * per_kind, len(lines) - 1
    if found != stated:
        raise DataError(f"{first.place} says that {stated} pairs follow, the list has {found}")
    return per_kind


def _lfw_row(line: Line, fold: int, same: bool) -> PairRow:
    fields = line.fields
    if same:
        if len(fields) != 3 or not (fields[1].isdigit() and fields[2].isdigit()):
            line.refuse('be a same pair, "name i j"')
        fields = [fields[0], fields[1], fields[0], fields[2]]
    elif len(fields) != 4 or not (fields[1].isdigit() and fields[3].isdigit()):
        line.refuse('be a different pair, "name1 i name2 j"')
    a, b = (f"{name}/{name}_{int(n):04d}.jpg" for name, n in (fields[:2], fields[2:]))
    return PairRow(fold, same, a, b, line.place)


def parse_bare_lfw(lines: Sequence[Line]) -> list[PairRow]:
    """LFW's lines without a header; three fields are a same pair."""
    folds = _blocks(lines, len(lines))
    return [
        _lfw_row(line, fold, len(line.fields) == 3)
        for line, fold in zip(lines, folds, strict=True)
    ]


def parse_path_label(lines: Sequence[Line]) -> list[PairRow]:
    """`path1 path2 label`."""
    for line in lines:
        if len(line.fields) != 3 or not all(line.fields) or line.fields[2] not in _SAME:
            line.refuse(
                'be "path1 path2 label" with label 1, 0 or -1 (tabs where names hold blanks)'
            )
    folds = _blocks(lines, len(lines))
    return [
        PairRow(fold, _SAME[line.fields[2]], line.fields[0], line.fields[1], line.place)
        for line, fold in zip(lines, folds, strict=True)
    ]


def parse_two_lines(lines: Sequence[Line]) -> list[PairRow]:
    """Two lines `image flag` a pair; the flag of the first counts, and is not 0 for same."""
    for line in lines:
        if len(line.fields) < 2 or not line.fields[0] or not line.fields[-1].isdigit():
            line.refuse('be "image flag" with a flag 0, 1, ...')
    pairs = _two_by_two(lines)
    same = np.array([int(first.fields[-1]) != 0 for first, _ in pairs])
    for kind, count in (("same", int(same.sum())), ("different", int((~same).sum()))):
        if count < FOLDS:
            raise DataError(
                f"{lines[-1].place} ends a list that must have at least {FOLDS} {kind} pairs, one "
                f"a fold, found {count}"
            )
    keys = [(" ".join(a.fields[:-1]), " ".join(b.fields[:-1])) for a, b in pairs]
    return [
        PairRow(int(fold), bool(kind), *key, first.place)
        for fold, kind, key, (first, _) in zip(dealt_folds(same), same, keys, pairs, strict=True)
    ]


def parse_two_paths(lines: Sequence[Line]) -> list[PairRow]:
    """Two lines `name/image` a pair, same where the names agree."""
    for line in lines:
        if "/" not in " ".join(line.fields):
            line.refuse('be "name/image"')
    pairs = _two_by_two(lines)
    keys = [(" ".join(a.fields), " ".join(b.fields)) for a, b in pairs]
    folds = _blocks(lines, len(pairs))
    return [
        PairRow(fold, a.rsplit("/", 1)[0] == b.rsplit("/", 1)[0], a, b, first.place)
        for fold, (a, b), (first, _) in zip(folds, keys, pairs, strict=True)
    ]


def _two_by_two(lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    if len(lines) % 2:
        lines[-1].refuse("have a partner: a pair is two lines, and the list's number is odd")
    return list(zip(lines[::2], lines[1::2], strict=True))


def _blocks(lines: Sequence[Line], num_pairs: int) -> list[int]:
    if num_pairs < FOLDS:
        raise DataError(
            f"{lines[-1].place} ends a list that must have at least {FOLDS} pairs, one a fold, "
            f"found {num_pairs}"
        )
    folds: list[int] = consecutive_folds(num_pairs).tolist()
    return folds
