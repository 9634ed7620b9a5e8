"""Pair lists that are no single text file: AgeDB-30's MATLAB file, CFP's Protocol folder.

Data flow: file or folder -> here -> rows; `pair_lists` chooses.

    AgeDB-30   field `splits`: ten folds of (name, name, label); names have no ending, -1 is
               different. How the cells are nested inside a fold is not relied on.
    CFP        Pair_list_F.txt and Pair_list_P.txt number the frontal and the profile images
               (`1 ../Data/Images/001/frontal/01.jpg`); Split/FP/01/same.txt holds lines `i,j`,
               i frontal, j profile (FP) or frontal (FF); diff.txt likewise; ten folders 01 to 10.
               An image's key is its path below Data/Images.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import scipy.io

from lfs_ray.data.folds import FOLDS
from lfs_ray.data.pair_rows import PairRow, read_lines
from lfs_ray.errors import DataError

_CFP_LISTS = {"FP": ("Pair_list_F.txt", "Pair_list_P.txt"), "FF": ("Pair_list_F.txt",) * 2}


def parse_agedb(path: Path) -> list[PairRow]:
    """Rows of AgeDB-30's list; a name without an ending gets ".jpg"."""
    splits = read_mat(path).get("splits")
    if splits is None or not hasattr(splits, "__len__") or len(splits) != FOLDS:
        found = "none" if splits is None else f"one of {np.size(splits)}"
        raise DataError(f'{path} must hold a field "splits" of {FOLDS} folds, found {found}')
    return [row for fold, cells in enumerate(splits) for row in _agedb_fold(path, fold, cells)]


def read_mat(path: Path) -> dict[str, Any]:
    """Variables of a MATLAB file; cells and structs as lists, arrays and dicts.

    Raises:
        DataError: The file is missing or no MATLAB file up to version 7.
    """
    try:
        content: dict[str, Any] = scipy.io.loadmat(str(path), simplify_cells=True)
    except OSError as error:
        raise DataError(f"{path} must be a readable file ({error.strerror})") from None
    # A broken file surfaces as almost any exception of the reader.
    except Exception as error:
        raise DataError(
            f"{path} must be a MATLAB file of version 7 or older ({type(error).__name__}: "
            f"{str(error)[:60]}): copy it again, or save it with -v7"
        ) from None
    return content


def _agedb_fold(path: Path, fold: int, cells: Any) -> list[PairRow]:
    leaves = list(_leaves(cells))
    num_pairs, rest = divmod(len(leaves), 3)
    rows = [leaves[3 * pair : 3 * pair + 3] for pair in range(num_pairs)]
    if not num_pairs or rest or not all(map(_is_pair, rows)):
        rows = [leaves[pair::num_pairs] for pair in range(num_pairs)]  # stored by columns
    if not num_pairs or rest or not all(map(_is_pair, rows)):
        raise DataError(f"{path} fold {fold + 1} must hold pairs of (name, name, label)")
    return [
        PairRow(
            fold,
            bool(label > 0),
            _with_ending(a),
            _with_ending(b),
            f"{path} fold {fold + 1} pair {pair}",
        )
        for pair, (a, b, label) in enumerate(rows, 1)
    ]


def _is_pair(row: list[Any]) -> bool:
    return isinstance(row[0], str) and isinstance(row[1], str) and not isinstance(row[2], str)


def _leaves(value: Any) -> Iterator[Any]:
    """Texts and numbers of nested cells, in order."""
    if isinstance(value, dict):
        yield from chain.from_iterable(map(_leaves, value.values()))
    elif isinstance(value, list | tuple | np.ndarray):
        yield from chain.from_iterable(
            map(_leaves, np.ravel(value) if isinstance(value, np.ndarray) else value)
        )
    else:
        yield str(value) if isinstance(value, str) else float(value)


def _with_ending(name: str) -> str:
    return (
        name if PurePosixPath(name).suffix.lower() in (".jpg", ".jpeg", ".png") else f"{name}.jpg"
    )


def parse_cfp_fp(path: Path) -> list[PairRow]:
    """Rows of CFP frontal-profile."""
    return _parse_cfp(path, "FP")


def parse_cfp_ff(path: Path) -> list[PairRow]:
    """Rows of CFP frontal-frontal."""
    return _parse_cfp(path, "FF")


def _parse_cfp(path: Path, kind: str) -> list[PairRow]:
    candidates = (path, path / "Protocol", path.absolute().parent.parent)
    root = next((folder for folder in candidates if (folder / "Split").is_dir()), None)
    if root is None:
        raise DataError(f"{path} must be the Protocol folder of CFP, it has no folder Split")
    first, second = (_cfp_images(root / name) for name in _CFP_LISTS[kind])
    rows: list[PairRow] = []
    for fold in range(FOLDS):
        folder = root / "Split" / kind / f"{fold + 1:02d}"
        for name, same in (("same.txt", True), ("diff.txt", False)):
            for line in read_lines(folder / name):
                numbers = "".join(line.fields).split(",")
                if len(numbers) != 2 or not (numbers[0] in first and numbers[1] in second):
                    line.refuse('be "i,j", numbers of images in the lists of CFP')
                rows.append(PairRow(fold, same, first[numbers[0]], second[numbers[1]], line.place))
    return rows


def _cfp_images(path: Path) -> dict[str, str]:
    """Key of each image by its number as text."""
    images: dict[str, str] = {}
    for line in read_lines(path):
        parts = PurePosixPath(line.fields[-1].replace("\\", "/")).parts
        if len(line.fields) != 2 or not line.fields[0].isdigit() or len(parts) < 3:
            line.refuse('be a number and a path, "1 ../Data/Images/001/frontal/01.jpg"')
        images[line.fields[0]] = "/".join(parts[-3:])
    return images
