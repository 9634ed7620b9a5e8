"""Class centres of a trained model, for noise among similar identities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.driver.set_embeddings import embed_centres
from lfs_ray.training.embedder import Embedder, Progress


def centres_by_model(
    checkpoint: str,
    specimen: Specimen,
    measured: Measured,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """Unit centres (C, D) of all classes, over the images that decode."""
    places = np.flatnonzero(measured.decoded)
    embedder = Embedder(checkpoint, threads=threads)
    centres = embed_centres(embedder, specimen, places, specimen.labels[places], progress)
    return np.asarray(centres.unit_CD, np.float64)
