"""A pair list to rows, whichever format it has.

Data flow: list file or protocol folder -> here -> rows -> `pairs.read_pairs`. The first line, the
ending or the folder tells the format where only one can be meant:

    table             header `fold same a b` in any order; a and b are image keys, same is 0 or 1
    lfw               first line `10 300`: 10 folds, each 300 same, then 300 different
    lfw-development   first line `500`: 500 same, then 500 different, no folds
    lfw-bare          LFW's lines without a header (the lists of RFW); 10 blocks in order
    path-label        `path1 path2 label`, label 1, 0 or -1 (different); 10 blocks in order
    two-lines         a pair is two lines `image flag` (CALFW, CPLFW); all same pairs come first,
                      so that fold k gets the k-th tenth of the same and of the different
    two-paths         a pair is two lines `name/image` (SLLFW); same where the names agree
    agedb             MATLAB file with the field `splits` (AgeDB-30)
    cfp-fp, cfp-ff    the Protocol folder of CFP, or the folder Split/FP or Split/FF in it

LFW lines are `name i j` (same) or `name1 i name2 j` (different); the image is name/name_%04d.jpg.
Names that hold blanks need tabs between the columns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lfs_ray.data.pair_folders import parse_agedb, parse_cfp_ff, parse_cfp_fp
from lfs_ray.data.pair_lines import (
    parse_bare_lfw,
    parse_development,
    parse_lfw,
    parse_path_label,
    parse_table,
    parse_two_lines,
    parse_two_paths,
    table_columns,
)
from lfs_ray.data.pair_rows import Line, PairRow, read_lines
from lfs_ray.errors import DataError

LINE_FORMATS: dict[str, Callable[[Sequence[Line]], list[PairRow]]] = {
    "table": parse_table,
    "lfw": parse_lfw,
    "lfw-development": parse_development,
    "lfw-bare": parse_bare_lfw,
    "path-label": parse_path_label,
    "two-lines": parse_two_lines,
    "two-paths": parse_two_paths,
}
"""Formats of text files."""

OTHER_FORMATS: dict[str, Callable[[Path], list[PairRow]]] = {
    "agedb": parse_agedb,
    "cfp-fp": parse_cfp_fp,
    "cfp-ff": parse_cfp_ff,
}
"""Formats of a MATLAB file or a folder."""

FORMATS = (*LINE_FORMATS, *OTHER_FORMATS)


def parse_pairs(path: str | os.PathLike[str], format: str = "") -> list[PairRow]:
    """Rows of a pair list, in its order.

    Args:
        path: List file, or the protocol folder of CFP.
        format: One of FORMATS; "" for what the file itself tells.

    Raises:
        DataError: The file is missing, of no known format, or a line doesn't fit; names the line.
    """
    if format and format not in FORMATS:
        raise DataError(
            f'the format of a pair list must be one of {", ".join(FORMATS)}, got "{format}"'
        )
    place = Path(path)
    format = format or _format_of_place(place)
    if format in OTHER_FORMATS:
        return OTHER_FORMATS[format](place)
    lines = read_lines(place)
    return LINE_FORMATS[format or _format_of_line(lines[0])](lines)


def _format_of_place(place: Path) -> str:
    """Format told by the ending or the folder; "" for a text file."""
    if place.suffix.lower() == ".mat":
        return "agedb"
    if not place.is_dir():
        return ""
    named = f"cfp-{place.name.lower()}"
    if named in OTHER_FORMATS:
        return named
    raise DataError(
        f"{place} must be a pair list, it is a folder: where it is the Protocol folder of CFP, "
        f'say which of its two, format "cfp-fp" or "cfp-ff"'
    )


def _format_of_line(first: Line) -> str:
    fields = first.fields
    numbers = [field.isdigit() for field in fields]
    if table_columns(fields):
        return "table"
    if all(numbers) and len(fields) < 3 and all(map(int, fields)):
        return "lfw" if len(fields) == 2 else "lfw-development"
    if numbers in ([False, True, True], [False, True, False, True]):
        return "lfw-bare"
    if len(fields) == 3 and fields[2] in ("0", "1", "-1"):
        return "path-label"
    if numbers == [False, True]:
        return "two-lines"
    if len(fields) == 1 and "/" in fields[0]:
        return "two-paths"
    first.refuse(
        'be the header "fold same a b", "folds pairs" or "pairs", an LFW pair, '
        '"path1 path2 label", "image flag" or "name/image"'
    )
