"""Metrics of labelled images, by name: ranks, mAP, retrieval, TPR@FPR, 1:N, top-k.

Inside `metrics`, from `Evidence` to a value and the contributions of the images. Queries are
resampled by person, the gallery they are ranked in is not.

Shapes: N images, Q queries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.all_pairs import score_all_pairs
from lfs_ray.evaluation.bootstrap import Contribution
from lfs_ray.evaluation.distractors import identify
from lfs_ray.evaluation.evidence import Evidence, Measured
from lfs_ray.evaluation.identification import Gallery, ijb_1n
from lfs_ray.evaluation.pair_metrics import point_notes
from lfs_ray.evaluation.reid import Reidentification, reidentify_images
from lfs_ray.evaluation.retrieval import Retrieval, average_precision_at, rank_images, retrieve


def rank(name: str, evidence: Evidence, *, k: int) -> Measured:
    """Share of images with a mate among the first k others, by the same-camera rule."""
    result = _reidentified(evidence)
    hit_Q = result.ranks.first_Q <= k
    return _of_images(name, evidence, hit_Q, result.ranks.query_Q)


def mean_ap(name: str, evidence: Evidence) -> Measured:
    """The mAP of re-identification."""
    result = _reidentified(evidence)
    return _of_images(name, evidence, result.average_precision_Q, result.ranks.query_Q)


def mean_inp(name: str, evidence: Evidence) -> Measured:
    """The mINP of re-identification."""
    result = _reidentified(evidence)
    return _of_images(name, evidence, result.inverse_negative_penalty_Q, result.ranks.query_Q)


def precision_at_1(name: str, evidence: Evidence) -> Measured:
    """Share of images whose nearest neighbour is of their class."""
    result = _retrieved(evidence)
    return _of_images(name, evidence, result.precision_at_1_Q, result.ranks.query_Q)


def r_precision(name: str, evidence: Evidence) -> Measured:
    """R-precision."""
    result = _retrieved(evidence)
    return _of_images(name, evidence, result.r_precision_Q, result.ranks.query_Q)


def map_at_r(name: str, evidence: Evidence) -> Measured:
    """MAP@R."""
    result = _retrieved(evidence)
    return _of_images(name, evidence, result.map_at_r_Q, result.ranks.query_Q)


def map_at_k(name: str, evidence: Evidence, *, k: int) -> Measured:
    """MAP@k."""
    ranks = rank_images(np.asarray(evidence.embeddings_ND), np.asarray(evidence.identity_N))
    return _of_images(name, evidence, average_precision_at(ranks, k), ranks.query_Q)


def tpr(name: str, evidence: Evidence, *, fpr: float, rule: str) -> Measured:
    """Accepted share of all genuine pairs of the images; its only rule is `at_most`."""
    pairs = score_all_pairs(
        np.asarray(evidence.embeddings_ND), np.asarray(evidence.identity_N), [fpr]
    )
    point = pairs.tpr_at_fpr(fpr)
    assert point.rule == rule
    accepted = pairs.genuine_G > point.threshold
    genuine = Contribution(accepted, pairs.identity_G, pairs.identity_G)
    return Measured(point.tar, (genuine,), ((name, point.tar),), point_notes(name, point))


def tpir(name: str, evidence: Evidence, *, fpir: float, rule: str) -> Measured:
    """TPIR: everyone's first image is the gallery, the others are probes; rule `ijb_1n`."""
    rows, who = np.asarray(evidence.embeddings_ND), np.asarray(evidence.identity_N)
    first = np.zeros(len(who), np.bool_)
    first[np.unique(who, return_index=True)[1]] = True
    probes = np.flatnonzero(~first)
    gallery = Gallery(rows[first], who[first])
    result = ijb_1n(rows[probes], who[probes], [gallery], fpirs=[fpir])
    assert result.rule == rule
    return _of_images(name, evidence, np.asarray(result.found_PF)[:, 0], probes)


def megaface(name: str, evidence: Evidence, *, rank: int) -> Measured:
    """Hit rate of people with several images among the images of people with only one."""
    rows, who = np.asarray(evidence.embeddings_ND), np.asarray(evidence.identity_N)
    _, person, size = np.unique(who, return_inverse=True, return_counts=True)
    probes = np.flatnonzero(size[person] > 1)
    distractors = rows[size[person] == 1]
    if len(distractors) == 0 or len(probes) == 0:
        raise DataError(
            f"metric {name} must have people with one image, as distractors, and people with "
            f"several, found {len(distractors)} images and {len(probes)}: use rank{rank} instead"
        )
    result = identify(
        rows[probes], who[probes], distractors, sizes=[len(distractors)], ranks=[rank], fars=[]
    )
    return _of_images(name, evidence, result.hit_GK[:, 0], probes[result.probe_G])


def top(name: str, evidence: Evidence, *, k: int) -> Measured:
    """Share of images whose class is among the first k."""
    ranks_N = np.asarray(evidence.class_rank_N)
    return _of_images(name, evidence, ranks_N <= k, np.arange(len(ranks_N)))


def _reidentified(evidence: Evidence) -> Reidentification:
    return reidentify_images(
        np.asarray(evidence.embeddings_ND),
        np.asarray(evidence.identity_N),
        camera_N=evidence.camera_N,
    )


def _retrieved(evidence: Evidence) -> Retrieval:
    return retrieve(np.asarray(evidence.embeddings_ND), np.asarray(evidence.identity_N))


def _of_images(
    name: str, evidence: Evidence, values_Q: NDArray[np.generic], image_Q: NDArray[np.int64]
) -> Measured:
    person_Q = np.asarray(evidence.identity_N)[image_Q]
    value = float(values_Q.astype(np.float64).mean())
    return Measured(value, (Contribution(values_Q, person_Q, person_Q),), ((name, value),))
