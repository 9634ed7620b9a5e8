"""IJB-B and IJB-C: templates of several images each, verified 1:1 and identified 1:N.

Data flow: folder -> here -> `IjbSet` -> aligned images -> embeddings -> template features. Layout
(published with deepinsight/insightface):

    meta/ijbc_face_tid_mid.txt           `image template media`
    meta/ijbc_name_5pts_score.txt        `image x1 y1 ... x5 y5 score`, the same images in order
    meta/ijbc_template_pair_label.txt    `template template label`
    meta/ijbc_1N_gallery_G1.csv, _G2     1:N, TEMPLATE_ID,SUBJECT_ID,...; S1 and S2 for IJB-B
    meta/ijbc_1N_probe_mixed.csv         1:N, the same columns
    loose_crop/                          images, to be aligned by their five points
"""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.pair_rows import Line, read_lines
from lfs_ray.data.protocols.locations import first_existing, refuse_repeated
from lfs_ray.errors import DataError

_HALVES = ("G1", "G2", "S1", "S2")


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """T different templates and the people they show."""

    template_T: NDArray[np.int64]
    subject_T: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IjbSet:
    """N images of templates; P pairs of templates; galleries and probes of 1:N."""

    keys: tuple[str, ...]
    """Images, (N,), below `root`; each comes once."""
    template_N: NDArray[np.int64]
    """Template of each image, (N,)."""
    media_N: NDArray[np.int64]
    """Media of each image: a photo of its own, or the frames of a video, (N,)."""
    landmarks_N52: NDArray[np.float64]
    """Five points of each image, x and y in pixels, (N, 5, 2)."""
    detector_score_N: NDArray[np.float64]
    """How sure the detector was of each face, (N,)."""
    pair_first_P: NDArray[np.int64]
    """First template of each pair, (P,)."""
    pair_second_P: NDArray[np.int64]
    """Second template of each pair, (P,)."""
    same_P: NDArray[np.bool_]
    """Whether both templates of a pair show one person, (P,)."""
    galleries: tuple[Templates, ...]
    """The two galleries of 1:N; none where the files are not there."""
    probes: Templates | None
    """The probes of 1:N, or None."""
    root: str
    """Folder of the images."""


def read_ijb(path: str | os.PathLike[str], name: str = "") -> IjbSet:
    """Read IJB-B or IJB-C.

    Args:
        path: Folder with meta/ and loose_crop/.
        name: "ijbb" or "ijbc"; "" for the one that lies there.

    Raises:
        DataError: A file is missing or a line doesn't fit, images of two files differ, or a
            template that is compared has no image.
    """
    root = Path(path)
    meta = root / "meta" if (root / "meta").is_dir() else root
    stem = meta / (name or _name_of(meta))
    keys, ids = _read_images(Path(f"{stem}_face_tid_mid.txt"))
    points, scores = _read_points(Path(f"{stem}_name_5pts_score.txt"), keys)
    pairs = _read_table(Path(f"{stem}_template_pair_label.txt"))
    _check_templates(pairs[:, :2], ids[:, 0], f"{stem}_template_pair_label.txt")
    galleries, probes = _read_1n(stem, ids[:, 0])
    return IjbSet(
        keys=keys,
        template_N=ids[:, 0],
        media_N=ids[:, 1],
        landmarks_N52=points,
        detector_score_N=scores,
        pair_first_P=pairs[:, 0],
        pair_second_P=pairs[:, 1],
        same_P=pairs[:, 2] == 1,
        galleries=galleries,
        probes=probes,
        root=str(first_existing(root, ("loose_crop", "images", "."), "the images")),
    )


def _name_of(meta: Path) -> str:
    names = sorted(file.name[:4] for file in meta.glob("ijb?_face_tid_mid.txt"))
    if len(names) != 1:
        raise DataError(
            f"{meta} must hold one file ijbb_face_tid_mid.txt or ijbc_face_tid_mid.txt, found "
            f"{len(names)}{': say which by its name' if names else ''}"
        )
    return names[0]


def _read_images(path: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    lines = read_lines(path, "image list")
    for line in lines:
        if len(line.fields) != 3 or not (line.fields[1].isdigit() and line.fields[2].isdigit()):
            line.refuse('be "image template media"')
    keys = tuple(line.fields[0] for line in lines)
    refuse_repeated(keys, str(path))
    return keys, np.array([line.fields[1:] for line in lines], np.int64)


def _read_points(
    path: Path, keys: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (N, 5, 2) and scores (N,) of the images, which the file must list in their order."""
    lines = read_lines(path, "list of points")
    if len(lines) != len(keys):
        raise DataError(
            f"{path} must have a line for each of the {len(keys)} images, it has {len(lines)}"
        )
    for line, key in zip(lines, keys, strict=True):
        if line.fields[0] != key:
            line.refuse(f'be of the image "{key}", as the list of templates is')
    values = np.array([_numbers(line) for line in lines])
    return values[:, :10].reshape(-1, 5, 2), values[:, 10]


def _numbers(line: Line) -> list[float]:
    try:
        values = [float(field) for field in line.fields[1:]]
    except ValueError:
        values = []
    if len(values) != 11 or not np.isfinite(values).all():
        line.refuse('be "image x1 y1 ... x5 y5 score"')
    return values


def _read_table(path: Path) -> NDArray[np.int64]:
    """Rows (P, 3) of template, template, label; 16 million lines take seconds."""
    if not path.is_file():
        raise DataError(f"pair list {path} must be a readable file, there is none")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a file without lines is only warned of
            table: NDArray[np.int64] = np.loadtxt(path, np.int64, ndmin=2, comments=None)
    except (ValueError, UserWarning) as error:
        raise DataError(f'{path} must have lines "template template label" ({error})') from None
    if table.shape[1:] != (3,) or not len(table):
        raise DataError(f'{path} must have lines "template template label", found {table.shape}')
    wrong = np.flatnonzero((table[:, 2] != 0) & (table[:, 2] != 1))
    if wrong.size:
        raise DataError(
            f"{path} line {wrong[0] + 1} must end in the label 0 or 1, got {table[wrong[0], 2]}"
        )
    return table


def _read_1n(
    stem: Path, known: NDArray[np.int64]
) -> tuple[tuple[Templates, ...], Templates | None]:
    """Galleries and probes; none where neither lies there."""
    galleries = [Path(f"{stem}_1N_gallery_{half}.csv") for half in _HALVES]
    present = [file for file in galleries if file.is_file()]
    probe = Path(f"{stem}_1N_probe_mixed.csv")
    if not present and not probe.is_file():
        return (), None
    if len(present) != 2 or not probe.is_file():
        raise DataError(
            f"1:N needs two galleries and {probe.name} in {probe.parent}, found {len(present)} "
            f"galleries and {'the' if probe.is_file() else 'no'} probes"
        )
    return tuple(_read_templates(file, known) for file in present), _read_templates(probe, known)


def _read_templates(path: Path, known: NDArray[np.int64]) -> Templates:
    subject_of: dict[int, int] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row or (number == 1 and not row[0].strip().isdigit()):
                continue
            if len(row) < 2 or not (row[0].strip().isdigit() and row[1].strip().isdigit()):
                raise DataError(
                    f'{path} line {number} must begin with "template,subject", got '
                    f"{','.join(row)[:60]}"
                )
            template, subject = int(row[0]), int(row[1])
            if subject_of.setdefault(template, subject) != subject:
                raise DataError(
                    f"{path} line {number} must give template {template} one subject, it gives "
                    f"{subject_of[template]} and {subject}"
                )
    if not subject_of:
        raise DataError(f"{path} must list templates, it lists none")
    templates = np.array(list(subject_of), np.int64)
    _check_templates(templates, known, str(path))
    return Templates(templates, np.array(list(subject_of.values()), np.int64))


def _check_templates(used: NDArray[np.int64], known: NDArray[np.int64], place: str) -> None:
    lost = np.setdiff1d(used, known)
    if lost.size:
        raise DataError(
            f"every template of {place} must have an image, {lost.size} have none, the first is "
            f"template {lost[0]}"
        )
