"""Re-identification: CMC, mAP, mINP of queries against a gallery, with the same-camera rule.

After `embedding`. As JDAI-CV/fast-reid: per query the gallery is ordered by distance, entries of
the same person by the same camera are removed, queries without a mate left are skipped.

    CMC(k)  share of queries with a mate among the first k
    AP      mean over the mates of (mates so far) / rank; mAP its mean over queries
    INP     (number of mates) / (rank of the last mate); mINP its mean

The sort is stable: equal distances keep the order of the gallery (the original leaves it open).
`single_shot` has the CMC of CUHK03.

Shapes: Q queries, G gallery entries, D dimensions, K ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.ranking import Labels, MateRanks, rank_mates, rank_mates_of_scores

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reidentification:
    """Values of each counted query, and their means."""

    ranks: MateRanks
    average_precision_Q: Floats
    inverse_negative_penalty_Q: Floats

    @property
    def mean_ap(self) -> float:
        """The mAP, in [0, 1]."""
        return float(self.average_precision_Q.mean())

    @property
    def mean_inp(self) -> float:
        """The mINP, in [0, 1]."""
        return float(self.inverse_negative_penalty_Q.mean())

    @property
    def num_queries(self) -> int:
        """Queries with a mate left."""
        return len(self.ranks.query_Q)

    def rank(self, k: int) -> float:
        """CMC(k): share of queries with a mate among the first k."""
        return float(np.mean(self.ranks.first_Q <= k))

    def cmc(self, ranks: Sequence[int] = (1, 5, 10)) -> tuple[float, ...]:
        """CMC at several ranks."""
        return tuple(self.rank(k) for k in ranks)


def reidentify(
    query_QD: ArrayLike,
    gallery_GD: ArrayLike,
    query_identity_Q: ArrayLike,
    gallery_identity_G: ArrayLike,
    *,
    query_camera_Q: ArrayLike | None = None,
    gallery_camera_G: ArrayLike | None = None,
) -> Reidentification:
    """CMC, mAP and mINP of embeddings.

    Args:
        query_QD, gallery_GD: unit rows.
        query_identity_Q, gallery_identity_G: persons, integers or strings.
        query_camera_Q, gallery_camera_G: cameras; both or neither. Without them nothing is
            removed.

    Raises:
        DataError: shapes don't fit, a value is not finite, no query has a mate left.

    >>> query, gallery = [[1.0, 0.0]], [[0.9, 0.0], [0.8, 0.0], [0.7, 0.0]]
    >>> reidentify(query, gallery, ["a"], ["b", "a", "a"]).cmc((1, 2))
    (0.0, 1.0)
    """
    labels = make_labels(query_identity_Q, gallery_identity_G, query_camera_Q, gallery_camera_G)
    return measure_ranks(rank_mates(query_QD, gallery_GD, labels))


def reidentify_images(
    embeddings_ND: ArrayLike, identity_N: ArrayLike, *, camera_N: ArrayLike | None = None
) -> Reidentification:
    """Every image against all others: itself is removed by index, besides the camera rule."""
    embeddings, identity = np.asarray(embeddings_ND), np.asarray(identity_N)
    camera = None if camera_N is None else np.asarray(camera_N)
    own = np.arange(len(identity))
    labels = Labels(identity, identity, camera, camera, own_place_Q=own)
    return measure_ranks(rank_mates(embeddings, embeddings, labels))


def reidentify_scores(
    score_QG: ArrayLike,
    query_identity_Q: ArrayLike,
    gallery_identity_G: ArrayLike,
    *,
    query_camera_Q: ArrayLike | None = None,
    gallery_camera_G: ArrayLike | None = None,
) -> Reidentification:
    """The same on a matrix of scores, high for alike (a distance with its sign turned)."""
    labels = make_labels(query_identity_Q, gallery_identity_G, query_camera_Q, gallery_camera_G)
    return measure_ranks(rank_mates_of_scores(score_QG, labels))


def measure_ranks(ranks: MateRanks) -> Reidentification:
    """AP and INP of each query from the ranks of its mates.

    The order [other, mate, mate, other, mate]:

    >>> ranks = MateRanks(np.array([0]), np.array([3]), np.array([2, 3, 5]))
    >>> result = measure_ranks(ranks)
    >>> round(result.mean_ap, 9), result.mean_inp
    (0.588888889, 0.6)
    """
    return Reidentification(
        ranks=ranks,
        average_precision_Q=ranks.sum_per_query(ranks.order_M / ranks.rank_M) / ranks.num_mates_Q,
        inverse_negative_penalty_Q=ranks.num_mates_Q / ranks.last_Q,
    )


def make_labels(
    query_identity_Q: ArrayLike,
    gallery_identity_G: ArrayLike,
    query_camera_Q: ArrayLike | None,
    gallery_camera_G: ArrayLike | None,
) -> Labels:
    """Identities and cameras of queries and gallery, checked.

    Raises:
        DataError: cameras of one side only, or not one an image.
    """
    if (query_camera_Q is None) != (gallery_camera_G is None):
        raise DataError(
            "the same-camera rule must have cameras of queries and gallery, found one of both: "
            "give both or neither"
        )
    query, gallery = np.asarray(query_identity_Q), np.asarray(gallery_identity_G)
    if query_camera_Q is None or gallery_camera_G is None:
        return Labels(query, gallery)
    cameras = np.asarray(query_camera_Q), np.asarray(gallery_camera_G)
    if (len(cameras[0]), len(cameras[1])) != (len(query), len(gallery)):
        raise DataError(
            f"every image must have a camera, found {len(cameras[0])} and {len(cameras[1])} "
            f"cameras for {len(query)} queries and {len(gallery)} gallery entries"
        )
    return Labels(query, gallery, *cameras)
