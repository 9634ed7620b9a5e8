"""Ranks of the mates of each query in its gallery: what re-ID and retrieval measures are made of.

After `embedding`, before `reid` and `retrieval`. The gallery is ordered by falling dot product
(of unit rows: rising distance), equal scores by their place in the gallery, as a stable sort
would. Scores are made in blocks; no matrix of all queries is held.

Shapes: Q queries, G gallery entries, D dimensions, M mates of all queries, B queries of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.identities import numbered

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BLOCK_SCORES = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class MateRanks:
    """Ranks of the mates of those queries that have one."""

    query_Q: Indices
    """Places of the counted queries: those with a mate left."""
    num_mates_Q: Indices
    """Mates of each counted query, at least 1."""
    rank_M: Indices
    """Ranks of the mates, 1 for the first, rising within a query; queries one after the other."""

    @property
    def owner_M(self) -> Indices:
        """Number of the counted query, 0..Q-1, of each rank."""
        return np.repeat(np.arange(len(self.query_Q)), self.num_mates_Q)

    @property
    def order_M(self) -> Indices:
        """1 for a query's best mate, 2 for the next, ..."""
        ends = np.cumsum(self.num_mates_Q)
        return np.arange(1, len(self.rank_M) + 1) - np.repeat(
            ends - self.num_mates_Q, self.num_mates_Q
        )

    @property
    def first_Q(self) -> Indices:
        """Rank of the best mate."""
        return np.asarray(self.rank_M[np.cumsum(self.num_mates_Q) - self.num_mates_Q])

    @property
    def last_Q(self) -> Indices:
        """Rank of the worst mate."""
        return np.asarray(self.rank_M[np.cumsum(self.num_mates_Q) - 1])

    def sum_per_query(self, values_M: ArrayLike) -> NDArray[np.float64]:
        """Sums of one value a mate, (Q,)."""
        values = np.asarray(values_M, np.float64)
        return np.bincount(self.owner_M, values, len(self.query_Q)).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Who is on each image, and what each query may not be matched with."""

    query_Q: NDArray[np.generic]
    gallery_G: NDArray[np.generic]
    query_camera_Q: NDArray[np.generic] | None = None
    gallery_camera_G: NDArray[np.generic] | None = None
    own_place_Q: Indices | None = None
    """Place of the query itself in the gallery: removed by index, not by distance."""

    def numbered(self) -> Labels:
        """The same with whole numbers for names, which compare faster."""
        query_Q, gallery_G = numbered(self.query_Q, self.gallery_G)
        return replace(self, query_Q=query_Q, gallery_G=gallery_G)

    def of_query(self, query: int) -> tuple[Bools, Bools]:
        """Mates (G,), and entries removed (G,): itself, or the same person by the same camera."""
        mates = np.asarray(self.gallery_G == self.query_Q[query])
        removed = np.zeros(len(mates), np.bool_)
        if self.query_camera_Q is not None and self.gallery_camera_G is not None:
            removed = mates & (self.gallery_camera_G == self.query_camera_Q[query])
        if self.own_place_Q is not None:
            removed[self.own_place_Q[query]] = True
        return mates & ~removed, removed


def rank_mates(query_QD: ArrayLike, gallery_GD: ArrayLike, labels: Labels) -> MateRanks:
    """Ranks of all mates by dot product.

    Args:
        query_QD, gallery_GD: embeddings, unit rows for cosines.
        labels: identities, and cameras or own places where entries are to be removed.

    Raises:
        DataError: shapes don't fit, a value is not finite, or no query has a mate.

    >>> labels = Labels(np.array([7]), np.array([7, 8, 7]))
    >>> rank_mates([[1.0, 0.0]], [[0.1, 0.0], [0.5, 0.0], [0.9, 0.0]], labels).rank_M.tolist()
    [1, 3]
    """
    return _collected(score_blocks(query_QD, gallery_GD, labels), labels)


def rank_mates_of_scores(score_QG: ArrayLike, labels: Labels) -> MateRanks:
    """The same on a given matrix of scores, high for alike."""
    score_QG = np.array(score_QG, dtype=np.float64)
    if score_QG.shape != (len(labels.query_Q), len(labels.gallery_G)):
        raise DataError(
            f"scores must have one row a query and one column a gallery entry, found shape "
            f"{score_QG.shape} for {len(labels.query_Q)} and {len(labels.gallery_G)}"
        )
    return _collected(iter([score_QG]), labels)


def score_blocks(query_QD: ArrayLike, gallery_GD: ArrayLike, labels: Labels) -> Iterator[Floats]:
    """Scores (B, G) of some queries after the other; errors of `rank_mates` but for the last."""
    queries, gallery = _checked(query_QD, gallery_GD, labels)
    step = max(_BLOCK_SCORES // max(len(gallery), 1), 1)
    for start in range(0, len(queries), step):
        yield queries[start : start + step] @ gallery.T


def _collected(blocks: Iterator[Floats], labels: Labels) -> MateRanks:
    queries, ranks = [], []
    labels = labels.numbered()
    query = 0
    for score_BG in blocks:
        mates_of = []
        for score_G in score_BG:
            mates, removed = labels.of_query(query)
            score_G[removed] = -np.inf
            mates_of.append(np.flatnonzero(mates))
            query += 1
        sorted_BG = np.sort(score_BG, axis=1)
        first = query - len(score_BG)
        for row, places in enumerate(mates_of):
            if places.size:
                queries.append(first + row)
                ranks.append(_ranks(score_BG[row], sorted_BG[row], places))
    if not queries:
        raise DataError(
            "at least one query must have a mate in the gallery, found none: "
            "give people two images or more"
        )
    return MateRanks(
        query_Q=np.array(queries, np.int64),
        num_mates_Q=np.array([len(rank) for rank in ranks], np.int64),
        rank_M=np.concatenate(ranks),
    )


def _ranks(score_G: Floats, sorted_G: Floats, mates: Indices) -> Indices:
    """Ranks of the mates, rising: entries scored higher, then equal ones that stand before."""
    found = score_G[mates]
    not_above = np.searchsorted(sorted_G, found, side="right")
    ranks = len(sorted_G) - not_above + 1
    tied = not_above - np.searchsorted(sorted_G, found, side="left") > 1
    for place in np.flatnonzero(tied):
        ranks[place] += np.count_nonzero(score_G[: mates[place]] == found[place])
    return np.sort(ranks)


def _checked(query_QD: ArrayLike, gallery_GD: ArrayLike, labels: Labels) -> tuple[Floats, Floats]:
    queries, gallery = np.asarray(query_QD), np.asarray(gallery_GD)
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise DataError(
            f"queries and gallery must be rows of one length, found shapes {queries.shape} and "
            f"{gallery.shape}: embed both with one model"
        )
    for rows, names, what in (
        (queries, labels.query_Q, "query"),
        (gallery, labels.gallery_G, "gallery"),
    ):
        if len(rows) != len(names):
            raise DataError(
                f"every {what} embedding must have an identity, found {len(rows)} embeddings "
                f"and {len(names)} identities"
            )
        if not np.isfinite(rows).all():
            place = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise DataError(
                f"{what} embeddings must be finite, found NaN or infinity in row {place}: "
                "check the weights and the precision"
            )
    return queries, gallery
