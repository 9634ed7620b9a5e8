"""Images with labels: re-identification, retrieval, classification.

Files of the set -> here -> embeddings -> CMC, mAP, mINP; precision@1, R-precision, MAP@R; top-k.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from lfs_ray.data.protocols.classification import ClassificationSet, read_classification
from lfs_ray.data.protocols.reid import read_market1501, read_reid_csv
from lfs_ray.data.store import ImageStore, open_store
from lfs_ray.driver.evaluate.embeddings import CheckpointEmbeddings, Embeddings
from lfs_ray.driver.evaluate.request import EvaluationRequest, images_of
from lfs_ray.driver.evaluate.table import Appraisal, Row
from lfs_ray.errors import DataError
from lfs_ray.evaluation.bootstrap import identity_bootstrap_se
from lfs_ray.evaluation.embedding import unit_rows
from lfs_ray.evaluation.reid import Reidentification, reidentify, reidentify_images
from lfs_ray.evaluation.retrieval import retrieve
from lfs_ray.evaluation.single_shot import single_shot
from lfs_ray.training.classify import classifier_ranks
from lfs_ray.training.embedder import Progress

RANKS = (1, 5, 10)
_CMC_RANKS = 50
_ERROR_KIND = "standard error, identities"


def appraise_reid(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """CMC, mAP and mINP with the same-camera rule: a Market-1501 folder or a CSV.

    Raises:
        DataError: a file or image is missing, or no query has a mate.
    """
    is_list = os.path.isfile(request.target)
    reid = read_reid_csv(request.target) if is_list else read_market1501(request.target)
    folder = os.path.dirname(os.path.abspath(request.target)) if is_list else request.target
    keys = (*reid.query.keys, *reid.gallery.keys)
    rows_ND = unit_rows(embeddings.raw(images_of(request, folder, keys), keys, progress))
    queries = len(reid.query)
    sides = (rows_ND[:queries], rows_ND[queries:], reid.query.person_N, reid.gallery.person_N)
    cameras = reid.query.camera_N, reid.gallery.camera_N
    found = reidentify(*sides, query_camera_Q=cameras[0], gallery_camera_G=cameras[1])
    left_out = f"{queries - found.num_queries} queries without a mate" * (
        queries > found.num_queries
    )
    name = request.set_name
    rows = list(_ranking_rows(name, found, "same camera removed", left_out))
    if request.single_shot:
        drawn = single_shot(
            *sides, seed=request.seed, query_camera_Q=cameras[0], gallery_camera_G=cameras[1]
        )
        note = f"{drawn.rank_QR.shape[1]} draws of one image a gallery person"
        hits = dict(zip(RANKS, drawn.cmc(RANKS), strict=True))
        rows += [
            Row(
                set=name,
                metric=f"rank{k}",
                rule="single shot",
                value=value,
                note=note,
                count=len(drawn.rank_QR),
            )
            for k, value in hits.items()
        ]
    return Appraisal(rows=rows, cmc={name: _cmc(found)})


def appraise_retrieval(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """Every image of a labelled set against all others.

    Raises:
        DataError: an image is missing, or no class has two images.
    """
    labelled = read_classification(request.target)
    rows_ND = unit_rows(embeddings.raw(_store(request), labelled.keys, progress))
    name = request.set_name
    found = reidentify_images(rows_ND, labelled.label_N)
    result = retrieve(rows_ND, labelled.label_N)
    people = labelled.label_N[result.ranks.query_Q]
    rows = list(_ranking_rows(name, found, "itself removed", ""))
    for metric, values in (
        ("precision@1", result.precision_at_1_Q),
        ("r_precision", result.r_precision_Q),
        ("map@r", result.map_at_r_Q),
    ):
        rows.append(
            Row(
                set=name,
                metric=metric,
                rule="itself removed",
                value=float(values.mean()),
                error=identity_bootstrap_se(values, people, people, seed=request.seed),
                error_kind=_ERROR_KIND,
                count=len(values),
            )
        )
    return Appraisal(rows=rows, cmc={name: _cmc(found)})


def appraise_classification(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """Top-1 and top-5 of a checkpoint's own classifier on images of its training classes.

    Raises:
        DataError: embeddings or a model file without a classifier, other classes, missing images.
    """
    labelled = read_classification(request.target)
    if not isinstance(embeddings, CheckpointEmbeddings):
        raise DataError(
            f"classification needs a classifier, found embeddings in {embeddings.name}: give a "
            f"checkpoint"
        )
    rows_ND = unit_rows(embeddings.raw(_store(request), labelled.keys, progress))
    ranks_N = classifier_ranks(
        embeddings.name, rows_ND, labelled.label_N, num_classes=len(labelled.class_names)
    )
    return Appraisal(rows=list(_top_rows(request, labelled, ranks_N)))


def _top_rows(
    request: EvaluationRequest, labelled: ClassificationSet, ranks_N: np.ndarray
) -> Iterator[Row]:
    labels = labelled.label_N
    for k in (1, 5):
        right = ranks_N <= k
        yield Row(
            set=request.set_name,
            metric=f"top{k}",
            rule="nearest class centre",
            value=float(right.mean()),
            error=identity_bootstrap_se(right, labels, labels, seed=request.seed),
            error_kind=_ERROR_KIND,
            count=len(labels),
            note=f"{len(labelled.class_names)} classes, label by label as in the training set",
        )


def _ranking_rows(name: str, found: Reidentification, rule: str, note: str) -> Iterator[Row]:
    figures = [(f"rank{k}", found.rank(k)) for k in RANKS]
    for metric, value in [*figures, ("map", found.mean_ap), ("minp", found.mean_inp)]:
        yield Row(
            set=name, metric=metric, rule=rule, value=value, count=found.num_queries, note=note
        )


def _cmc(found: Reidentification) -> tuple[np.ndarray, np.ndarray]:
    ranks = np.arange(1, _CMC_RANKS + 1)
    return ranks, np.array(found.cmc(tuple(ranks.tolist())))


def _store(request: EvaluationRequest) -> ImageStore:
    return open_store(request.images or request.target)
