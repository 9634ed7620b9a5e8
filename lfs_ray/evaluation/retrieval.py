"""Retrieval among labelled images: Precision@1, R-precision, MAP@R, MAP@k.

After `embedding`. Every image asks for the others of its class; itself is removed by index.
Images alone in their class are no queries but stay in the gallery. With R other images of the
query's class, rel(i) whether the i-th neighbour is one and P(i) the precision of the first i:

    Precision@1   rel(1)
    R-precision   (1/R) sum of rel(i) over i = 1..R
    MAP@R         (1/R) sum of P(i) rel(i) over i = 1..R (KevinMusgrave/pytorch-metric-learning)
    MAP@k         1/min(k, R) sum of P(i) rel(i) over i = 1..k (OML-Team/open-metric-learning)

Shapes: N images, D dimensions, Q queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.evaluation.ranking import Labels, MateRanks, rank_mates

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """Values of each query, and their means."""

    ranks: MateRanks
    precision_at_1_Q: Floats
    r_precision_Q: Floats
    map_at_r_Q: Floats

    @property
    def precision_at_1(self) -> float:
        """Mean over queries, in [0, 1]."""
        return float(self.precision_at_1_Q.mean())

    @property
    def r_precision(self) -> float:
        """Mean over queries, in [0, 1]."""
        return float(self.r_precision_Q.mean())

    @property
    def map_at_r(self) -> float:
        """Mean over queries, in [0, 1]."""
        return float(self.map_at_r_Q.mean())


def retrieve(embeddings_ND: ArrayLike, identity_N: ArrayLike) -> Retrieval:
    """Retrieval measures of all images that share their class.

    Args:
        embeddings_ND: unit rows.
        identity_N: class of each image, integers or strings.

    Raises:
        DataError: as `ranking.rank_mates`: no class has two images, a value is not finite.

    >>> rows = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
    >>> retrieve(rows, [0, 0, 1, 1]).precision_at_1
    0.5
    """
    ranks = rank_images(embeddings_ND, identity_N)
    within = ranks.rank_M <= ranks.num_mates_Q[ranks.owner_M]
    return Retrieval(
        ranks=ranks,
        precision_at_1_Q=(ranks.first_Q == 1).astype(np.float64),
        r_precision_Q=ranks.sum_per_query(within) / ranks.num_mates_Q,
        map_at_r_Q=ranks.sum_per_query(ranks.order_M / ranks.rank_M * within) / ranks.num_mates_Q,
    )


def rank_images(embeddings_ND: ArrayLike, identity_N: ArrayLike) -> MateRanks:
    """Ranks of every image's mates among all other images."""
    embeddings, identity = np.asarray(embeddings_ND), np.asarray(identity_N)
    labels = Labels(identity, identity, own_place_Q=np.arange(len(identity)))
    return rank_mates(embeddings, embeddings, labels)


def average_precision_at(ranks: MateRanks, num_neighbours: int) -> Floats:
    """MAP@k of each query, (Q,).

    >>> ranks = MateRanks(np.array([0]), np.array([2]), np.array([2, 3]))
    >>> average_precision_at(ranks, 2).tolist()
    [0.25]
    """
    within = ranks.rank_M <= num_neighbours
    summed_Q = ranks.sum_per_query(ranks.order_M / ranks.rank_M * within)
    return np.asarray(summed_Q / np.minimum(ranks.num_mates_Q, num_neighbours))
