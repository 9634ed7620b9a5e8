"""Identities that two sets share, by the class centres of a trained model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lfs_ray.data.class_centres import (
    MIN_CLASSES,
    Centres,
    half_labels,
    joined_halves,
    same_person_cosine,
)
from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.specimen import NO_LABEL, Specimen
from lfs_ray.data.overlap import Match, match_centres
from lfs_ray.driver.set_embeddings import embed_centres
from lfs_ray.errors import DataError
from lfs_ray.training.embedder import Embedder, Progress


def match_by_model(
    checkpoint: str,
    threshold: float | None,
    train: Specimen,
    own: Measured,
    others: Sequence[tuple[Specimen, Measured]],
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[Match]:
    """Pairs of a training identity and one of another set whose centres are near.

    Images of a set without labels, such as a `.bin` set, are an identity each.

    Args:
        checkpoint: the model.
        threshold: least cosine of two centres; None: the median cosine between the halves of a
            training class, which is as near as one person is to this model.
        train: the training set.
        own: its decode pass.
        others: the sets to compare with, and their decode passes.
        threads: decoding threads.
        progress: told while images are embedded.
    """
    embedder = Embedder(checkpoint, threads=threads)
    halves = _centres(embedder, train, own, half_labels(train.labels), progress)
    centres = joined_halves(halves)
    least = same_person_cosine(halves) if threshold is None else threshold
    if np.isnan(least):
        raise DataError(
            f"--threshold must be given where fewer than {MIN_CLASSES} classes have four images "
            f"or more, as in {train.path}"
        )
    matches: list[Match] = []
    for other, measured in others:
        named = bool((other.labels != NO_LABEL).any())
        labels = other.labels if named else np.arange(len(other))
        theirs = _centres(embedder, other, measured, labels, progress)
        name = other.class_name if named else other.keys.__getitem__
        matches += match_centres(train, centres, other, theirs, least, other_name=name)
    return matches


def _centres(
    embedder: Embedder,
    specimen: Specimen,
    measured: Measured,
    labels: np.typing.NDArray[np.int64],
    progress: Progress | None,
) -> Centres:
    places = np.flatnonzero(measured.decoded & (labels >= 0))
    return embed_centres(embedder, specimen, places, labels[places], progress)
