"""`lfs-ray data noise`: which identities are similar, by their mean images or by a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lfs_ray.data.class_centres import class_centres
from lfs_ray.data.doctor.measuring import Measured, Progress, measure
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.label_noise import (
    NEIGHBOURS,
    flip_labels,
    most_similar,
    usable_labels,
    write_noisy,
)
from lfs_ray.errors import DataError

ByModel = Callable[[Specimen, Measured], npt.NDArray[np.float64]]
"""Unit centres of the classes of a set, (C, D), by a model."""


def make_noise(
    specimen: Specimen,
    dst: str,
    *,
    share: float,
    kind: str,
    seed: int,
    checkpoint: str = "",
    by_model: ByModel | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Flip labels and write list and manifest; the manifest.

    Without a model the similar identities are those whose mean images, 16x16 and grey, correlate
    most: faces in like light and pose, hair and skin, rather than like people.

    Raises:
        DataError: labels with gaps, a class without an image that decodes, a share that is too
            large, or files that cannot be written.
    """
    labels = usable_labels(specimen)
    facts: dict[str, object] = {"kind": kind, "share": share, "seed": seed}
    neighbours_CK = None
    if kind == "similar":
        measured = measure(specimen, threads=threads, progress=progress)
        _check_classes(specimen, measured, labels)
        features_CD = by_model(specimen, measured) if by_model else mean_looks(measured, labels)
        neighbours_CK = most_similar(features_CD)
        facts["neighbours"] = NEIGHBOURS
        facts["similar_by"] = "model" if by_model else "mean images"
        if by_model:
            facts["model_sha256"] = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    flipped = flip_labels(labels, share, seed, neighbours_CK=neighbours_CK)
    return write_noisy(specimen, flipped, facts, dst)


def mean_looks(measured: Measured, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Unit vectors (C, 256) of the classes' mean thumbnails about the mean of all."""
    decoded = np.flatnonzero(measured.decoded)
    flat_N = measured.thumbnails.reshape(len(measured.thumbnails), -1)
    centres = class_centres(flat_N[decoded].astype(np.float32), labels[decoded])
    looks_CD = centres.sums_CD / centres.counts[:, None]
    looks_CD -= looks_CD.mean(axis=0)
    norm_C1 = np.linalg.norm(looks_CD, axis=1, keepdims=True)
    return np.asarray(looks_CD / np.where(norm_C1 == 0, 1, norm_C1))


def _check_classes(specimen: Specimen, measured: Measured, labels: npt.NDArray[np.int64]) -> None:
    there = np.bincount(labels[measured.decoded], minlength=int(labels.max()) + 1)
    if not there.all():
        name = specimen.class_name(int(np.argmin(there)))
        raise DataError(
            f"every class must have an image that decodes, {name} of {specimen.path} has none: "
            "see `lfs-ray data doctor`"
        )
