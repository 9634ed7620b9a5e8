"""Identities of a training set that are in test sets, too: by name, pixels, hash or embeddings.

Data flow: `Specimen`s, and what was measured of them -> here -> matches -> `cleaned_list`. Whole
identities are matched and removed, as the published lists do: of CASIA-WebFace 9,809 of 10,575
people stay beside MegaFace's FaceScrub and LFW, of MS-Celeb-1M-v1c 72,690 of 86,876 (Wang et al.,
"Loss function search for face recognition", ICML 2020).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lfs_ray.data.class_centres import Centres, near_centres
from lfs_ray.data.doctor.duplicates import ImagePairs, Joined, alike_between, equal_between
from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.shared_names import plain_name, shared_names
from lfs_ray.data.doctor.specimen import NO_LABEL, Specimen
from lfs_ray.errors import DataError

WAYS = ("names", "pixels", "hash", "model")
"""What identities can be compared by."""


@dataclass(frozen=True, slots=True)
class Match:
    """An identity of the training set that another set has, too."""

    label: int
    """Its label in the training set."""
    name: str
    """Its name there."""
    other_set: str
    """The other set, or the file of names."""
    other_name: str
    """The identity's name there, or the image that is the same."""
    by: str
    """A name in WAYS."""
    score: float
    """Likeness of the images or cosine of the centres; 1 for names and equal pixels."""


def match_names(train: Specimen, other_set: str, names: Iterable[str]) -> list[Match]:
    """Identities whose names are among `names`; case, blanks and underscores don't count."""
    return [
        Match(label, mine, other_set, theirs, "names", 1.0)
        for label, mine, theirs in shared_names(train.identities(), names)
    ]


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of a file, one a line, as lists of overlapping identities are published.

    Raises:
        DataError: The file cannot be read, or holds no name.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"names {path} must be a readable file ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"names {path} must be UTF-8 text ({error.reason})") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"names {path} must hold a name a line, it holds none")
    return names


def match_images(
    train: Specimen,
    train_measured: Measured,
    other: Specimen,
    other_measured: Measured,
    by: str,
) -> list[Match]:
    """Identities of which an image is in the other set: each with its likest image.

    Args:
        train: The training set.
        train_measured: Its decode pass.
        other: Another set.
        other_measured: Its decode pass.
        by: "pixels" for equal pixels, "hash" for pictures that look the same, equal ones too.
    """
    images = Joined.of(train_measured, other_measured)
    parts = [equal_between(images, len(train))]
    if by == "hash":
        parts.append(alike_between(images, len(train)))
    found: dict[int, Match] = {}
    for label, place, likeness in _best_first(train, parts):
        if label not in found:
            shown = other.keys[place - len(train)]
            found[label] = Match(label, train.class_name(label), other.path, shown, by, likeness)
    return list(found.values())


def _best_first(train: Specimen, parts: Sequence[ImagePairs]) -> Iterable[tuple[int, int, float]]:
    """Label, place in the joined sets and likeness of each pair with a labelled image."""
    first = np.concatenate([part.first for part in parts])
    second = np.concatenate([part.second for part in parts])
    likeness = np.concatenate([part.likeness for part in parts])
    order = np.lexsort((second, first, -likeness))
    for row in order.tolist():
        label = int(train.labels[first[row]])
        if label != NO_LABEL:
            yield label, int(second[row]), round(float(likeness[row]), 4)


def match_centres(
    train: Specimen,
    train_centres: Centres,
    other: Specimen,
    other_centres: Centres,
    threshold: float,
    *,
    other_name: Callable[[int], str] | None = None,
) -> list[Match]:
    """Pairs of identities whose centres have a cosine of `threshold` or more, likest first."""
    name_other = other_name or other.class_name
    matches = []
    for row, column, cosine in near_centres(
        train_centres.unit_CD, other_centres.unit_CD, threshold
    ):
        label = int(train_centres.labels[row])
        theirs = name_other(int(other_centres.labels[column]))
        score = round(cosine, 4)
        matches.append(Match(label, train.class_name(label), other.path, theirs, "model", score))
    return matches


def labels_named(train: Specimen, names: Sequence[str], place: str) -> tuple[set[int], list[str]]:
    """Labels of the identities that a list names, and the lines that name none.

    A line is the name of an identity as it stands; else a name that differs in case, blanks and
    underscores only, of a joined set without the source before it; else a label.

    Raises:
        DataError: No line names an identity.
    """
    identities = train.identities()
    exact: dict[str, list[int]] = {}
    plain: dict[str, list[int]] = {}
    for label, name in identities.items():
        exact.setdefault(name, []).append(label)
        plain.setdefault(plain_name(name), []).append(label)
    found: set[int] = set()
    unknown: list[str] = []
    for name in names:
        labels = exact.get(name)
        if not labels and "/" not in name and (alike := plain_name(name)):
            labels = plain.get(alike)
        if not labels and name.isdecimal() and int(name) in identities:
            labels = [int(name)]
        found.update(labels or ())
        if not labels:
            unknown.append(name)
    if not found:
        example = next(iter(identities.values()), "")
        raise DataError(
            f"{place} must name identities of {train.path}, none of its {len(names)} lines does, "
            f'such as "{names[0]}": its identities are named like "{example}"'
        )
    return found, unknown
