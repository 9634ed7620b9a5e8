"""Wrong labels on purpose: a share of a list's labels is flipped, for studies of noise.

Data flow: labels of a set -> here -> flipped labels -> list and manifest beside the same images.

Only raw words of PCG64 are used, whose sequence numpy guarantees for all time (see `stream`): the
same share, kind and seed flip the same labels to the same others everywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lfs_ray import __version__
from lfs_ray.data.class_centres import FloatArray, blocked_cosines
from lfs_ray.data.cleaned_list import list_lines, refuse_own_list
from lfs_ray.data.doctor.specimen import NO_LABEL, Specimen
from lfs_ray.data.packed_files import read_manifest
from lfs_ray.data.whole_file import write_whole
from lfs_ray.errors import DataError
from lfs_ray.seeds import derive_seed

KINDS = ("symmetric", "similar")
"""To any other class alike, or to one of the most similar."""
NEIGHBOURS = 5
"""How many classes are similar, from which one is drawn."""
MANIFEST_SUFFIX = ".json"
FORMAT = "lfs-ray label noise 1"
_UNIT = 2.0**-53

Labels = NDArray[np.int64]


def flip_labels(
    labels: Labels, share: float, seed: int, *, neighbours_CK: Labels | None = None
) -> Labels:
    """Labels (N,) of which round(share N) are replaced by others; every class keeps an image.

    Images are taken in an order drawn from the seed; one that is the last of its class at its turn
    is passed over.

    Args:
        labels: Class of each image, 0 to C-1, each present, (N,).
        share: Share of the images whose labels are flipped, 0 to 1.
        seed: Seed of order and targets.
        neighbours_CK: Classes to flip to, K of each class, alike probable, (C, K); None: any
            other class.

    Raises:
        DataError: The share is out of range, there is one class only, or so many labels cannot
            be flipped without emptying a class.
    """
    num_classes = int(labels.max(initial=-1)) + 1
    wanted = round(share * len(labels)) if 0 <= share <= 1 else -1
    if wanted < 0 or num_classes < 2:
        raise DataError(
            f"noise needs a share of 0 to 1 and 2 classes or more, got {share:g} and {num_classes}"
        )
    order = np.argsort(_words(seed, "noise order", len(labels)), kind="stable")
    uniform = (_words(seed, "noise target", len(labels)) >> np.uint64(11)) * _UNIT
    targets = _targets(labels, uniform, num_classes, neighbours_CK)
    counts = np.bincount(labels, minlength=num_classes).tolist()
    flipped = labels.copy()
    done = 0
    for place in order.tolist():
        if done == wanted:
            return flipped
        old, new = int(labels[place]), int(targets[place])
        if counts[old] > 1:
            counts[old] -= 1
            counts[new] += 1
            flipped[place] = new
            done += 1
    if done < wanted:
        raise DataError(
            f"every class must keep an image, only {done} of {wanted} labels can be flipped so: "
            "lower the share"
        )
    return flipped


def most_similar(features_CD: FloatArray, count: int = NEIGHBOURS) -> Labels:
    """The `count` classes of largest cosine to each class, nearest first, (C, K); K <= C - 1."""
    num_classes = len(features_CD)
    kept = min(count, num_classes - 1)
    nearest = np.empty((num_classes, kept), np.int64)
    for part, cos_BC in blocked_cosines(features_CD, features_CD):
        rows = np.arange(part.start, part.stop)
        cos_BC[np.arange(len(rows)), rows] = -np.inf
        nearest[part] = np.argsort(-cos_BC, axis=1, kind="stable")[:, :kept]
    return nearest


def usable_labels(specimen: Specimen) -> Labels:
    """Labels of a set whose classes are 0 to C-1.

    Raises:
        DataError: A label is missing or unusable, or there are gaps.
    """
    labels = specimen.labels
    present = np.unique(labels)
    if not len(labels) or present[0] == NO_LABEL or present[-1] != len(present) - 1:
        raise DataError(
            f"labels of {specimen.path} must be 0 to C-1 without gaps, they are not: see "
            "`lfs-ray data doctor`"
        )
    return labels


def write_noisy(
    specimen: Specimen,
    flipped: Labels,
    facts: dict[str, object],
    dst: str | os.PathLike[str],
) -> dict[str, object]:
    """Write the list, and DST.json beside it with what was done; the list comes last.

    The images stay where they are: `data.train` names the set, `data.lists` this list.

    Args:
        specimen: The set.
        flipped: New label of each image, (N,).
        facts: Kind, share, seed, and what else led to the labels.
        dst: The list.

    Returns:
        The manifest: the same bytes for the same set and facts.

    Raises:
        DataError: A file cannot be written, or `dst` is the set's own list.
    """
    target = os.fspath(dst)
    refuse_own_list(specimen, target)
    rows = np.arange(len(specimen))
    labels = specimen.labels
    packed = read_manifest(specimen.path) if os.path.isdir(specimen.path) else None
    manifest: dict[str, object] = {
        "format": FORMAT,
        "tool_version": __version__,
        **facts,
        "images": len(labels),
        "classes": int(labels.max()) + 1,
        "flipped": int((flipped != labels).sum()),
        "source_checksum": None if packed is None else packed.get("checksum"),
        "source_list_sha256": _digest(list_lines(specimen.keys, rows, labels)),
        "list_sha256": _digest(list_lines(specimen.keys, rows, flipped)),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=True) + "\n"
    write_whole(target + MANIFEST_SUFFIX, [text])
    write_whole(target, list_lines(specimen.keys, rows, flipped))
    return manifest


def _words(seed: int, purpose: str, count: int) -> NDArray[np.uint64]:
    return np.asarray(np.random.PCG64(derive_seed(int(seed), purpose)).random_raw(count))


def _targets(
    labels: Labels, uniform: FloatArray, num_classes: int, neighbours_CK: Labels | None
) -> Labels:
    """What the label of each image becomes if it is flipped, (N,)."""
    if neighbours_CK is not None:
        chosen = (uniform * neighbours_CK.shape[1]).astype(np.int64)
        return np.asarray(neighbours_CK[labels, chosen])
    other = (uniform * (num_classes - 1)).astype(np.int64)
    return other + (other >= labels)


def _digest(lines: Iterable[str]) -> str:
    total = hashlib.sha256()
    for line in lines:
        total.update(line.encode())
    return total.hexdigest()
