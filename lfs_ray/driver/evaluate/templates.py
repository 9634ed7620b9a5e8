"""IJB-B and IJB-C: templates compared 1:1, and identified 1:N by two rules.

Files of the set -> here -> images aligned by their five points -> template features -> rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lfs_ray.data.align import align
from lfs_ray.data.decode import Pixels
from lfs_ray.data.protocols.ijb import IjbSet, Templates, read_ijb
from lfs_ray.data.store import ImageStore, open_store
from lfs_ray.driver.evaluate.embeddings import CheckpointEmbeddings, Embeddings
from lfs_ray.driver.evaluate.pair_sets import curve_rows, tar_rows
from lfs_ray.driver.evaluate.request import EvaluationRequest
from lfs_ray.driver.evaluate.table import Appraisal, Histogram, Row
from lfs_ray.evaluation.identification import Gallery, OneToMany, ijb_1n, ijb_evals
from lfs_ray.evaluation.roc import roc_curve
from lfs_ray.evaluation.scores import split_by_truth
from lfs_ray.evaluation.templates import Templates as Features
from lfs_ray.evaluation.templates import aggregate_templates
from lfs_ray.training.embedder import Progress

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
RULES_1N = {"ijb_1n": ijb_1n, "ijb_evals": ijb_evals}


@dataclass(frozen=True, slots=True, eq=False)
class AlignedStore:
    """Images of a store, warped so that their five points lie where a model expects them."""

    store: ImageStore
    points_of_key: dict[str, npt.NDArray[np.float64]]
    size_px: int

    @property
    def path(self) -> str:
        """Where the images lie."""
        return self.store.path

    def read(self, key: str) -> bytes:
        """Encoded image as it is stored, not aligned."""
        return self.store.read(key)

    def image(self, key: str, colour: str = "rgb") -> Pixels:
        """Aligned pixels (size, size, 3)."""
        return align(self.store.image(key, colour), self.points_of_key[key], self.size_px)

    def missing(self, keys: Iterator[str]) -> list[str]:
        """Those of `keys` that are not there."""
        return self.store.missing(keys)

    def keys(self) -> Iterator[str]:
        """All keys."""
        return self.store.keys()


def appraise_ijb(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """TAR at FARs of the listed pairs of templates, and 1:N where its files are there.

    Raises:
        DataError: a file or image is missing, or the files don't fit together.
    """
    ijb = read_ijb(request.target)
    features = _features(ijb, request, embeddings, progress)
    scores_P = features.pair_scores(ijb.pair_first_P, ijb.pair_second_P)
    genuine, impostor = split_by_truth(scores_P, ijb.same_P)
    name = f"{request.set_name} 1:1"
    curve = roc_curve(genuine, impostor)
    note = f"template options: {features.options}"
    rows = [
        *tar_rows(name, genuine, impostor, request.fars or FARS, ("nearest", "at_most")),
        *curve_rows(name, genuine, impostor),
    ]
    ranks = [*_one_to_many(request.set_name, ijb, features)]
    return Appraisal(
        rows=[
            *rows,
            *ranks,
            Row(
                set=name,
                metric="templates",
                rule="ijb",
                value=len(features.template_T),
                count=len(ijb.keys),
                note=note,
            ),
        ],
        roc={name: (curve.far_T, curve.tar_T)},
        histograms={name: Histogram(genuine, impostor)},
    )


def _features(
    ijb: IjbSet,
    request: EvaluationRequest,
    embeddings: Embeddings,
    progress: Progress | None,
) -> Features:
    store: ImageStore | None = None
    if isinstance(embeddings, CheckpointEmbeddings):
        points = dict(zip(ijb.keys, ijb.landmarks_N52, strict=True))
        size_px = embeddings.embedder.model.input_size_px
        store = AlignedStore(open_store(request.images or ijb.root), points, size_px)
    raw_ND = embeddings.raw(store, ijb.keys, progress)
    features = aggregate_templates(
        raw_ND,
        template_N=ijb.template_N,
        media_N=ijb.media_N,
        detector_N=ijb.detector_score_N,
    )
    return features


def _one_to_many(name: str, ijb: IjbSet, features: Features) -> Iterator[Row]:
    if ijb.probes is None or not ijb.galleries:
        return
    probes = ijb.probes
    rows_PD = features.features_TD[features.places(probes.template_T)]
    galleries = [_gallery(gallery, features) for gallery in ijb.galleries]
    for measure in RULES_1N.values():
        yield from one_to_many_rows(
            f"{name} 1:N", measure(rows_PD, probes.subject_T, galleries), "fpir", "tpir"
        )


def _gallery(gallery: Templates, features: Features) -> Gallery:
    return Gallery(features.features_TD[features.places(gallery.template_T)], gallery.subject_T)


def one_to_many_rows(name: str, found: OneToMany, rate: str, what: str) -> Iterator[Row]:
    """Rank-k, and what is found at each rate of false identification."""
    for k, hits in zip(found.ranks, found.rank_rates, strict=True):
        yield Row(set=name, metric=f"rank{k}", rule=found.rule, value=hits, count=found.num_probes)
    for asked, value in zip(found.rates, found.found_rates, strict=True):
        yield Row(
            set=name,
            metric=f"{what}@{rate}={asked:g}",
            rule=found.rule,
            value=value,
            count=found.num_probes,
        )
