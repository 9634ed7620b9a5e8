"""What a trained model says of a set: likely mislabels, look-alike classes, swapped channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lfs_ray.data.doctor.examining import Report
from lfs_ray.data.doctor.finding import Finding
from lfs_ray.data.doctor.model_checks import check_embeddings, check_swap
from lfs_ray.driver.set_embeddings import embed_to_file
from lfs_ray.training.embedder import Embedder, Progress

SWAP_SAMPLE = 2000
"""Images that are embedded a second time, with red and blue swapped: at most so many, of whole
classes."""


def check_with_model(
    report: Report,
    checkpoint: str,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[Finding]:
    """Embed every image that decodes, and a sample of them with swapped channels.

    Raises:
        LfsRayError: the checkpoint is missing or no checkpoint, or an embedding is not finite.
    """
    specimen = report.specimen
    places = np.flatnonzero(report.measured.decoded & (specimen.labels >= 0))
    if not len(places):
        return []
    embedder = Embedder(checkpoint, threads=threads)
    unit_ND = embed_to_file(embedder, specimen, places, progress)
    rows = _sample(specimen.labels[places])
    coloured = ~report.measured.grey[places[rows]]
    rows = rows[coloured]
    swapped_ND = embedder.embed(specimen, places[rows], swap_channels=True).unit_ND
    return [
        *check_embeddings(specimen, places, unit_ND),
        *check_swap(unit_ND[rows], swapped_ND, specimen.labels[places[rows]]),
    ]


def _sample(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows of whole classes, spread evenly over the labels, that have two images or more."""
    classes, counts = np.unique(labels, return_counts=True)
    classes = classes[counts > 1]
    wanted = max(2, int(SWAP_SAMPLE / max(float(counts.mean()), 1.0)))
    picked = np.linspace(0, len(classes) - 1, min(wanted, len(classes))).astype(np.int64)
    return np.flatnonzero(np.isin(labels, classes[picked]))
