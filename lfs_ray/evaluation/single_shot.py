"""Single-gallery-shot CMC, as reported on CUHK03.

After `embedding`, beside `reid`, whose mAP and mINP are reported with it (they need no draws).
Per query one image of every gallery person is drawn from those that are left (the same person by
the same camera is removed), ten times; CMC(k) is the share of queries and draws with the mate
among the first k (JDAI-CV/fast-reid). Equal scores rank in the order of the gallery.

Shapes: Q queries with a mate, G gallery entries, D dimensions, R draws, I gallery people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.ranking import score_blocks
from lfs_ray.evaluation.reid import make_labels

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SingleShot:
    """Rank of the drawn mate among one image a person."""

    rank_QR: Indices
    """1 for the first."""

    def cmc(self, ranks: Sequence[int] = (1, 5, 10)) -> tuple[float, ...]:
        """CMC at several ranks: mean over queries and draws."""
        return tuple(float(np.mean(self.rank_QR <= rank)) for rank in ranks)


@dataclass(frozen=True, slots=True)
class _People:
    """Places of the gallery's people: those of person i start at start_I[i] in `place_G`."""

    place_G: Indices
    start_I: Indices
    size_I: Indices


def single_shot(
    query_QD: ArrayLike,
    gallery_GD: ArrayLike,
    query_identity_Q: ArrayLike,
    gallery_identity_G: ArrayLike,
    *,
    seed: int,
    draws: int = 10,
    query_camera_Q: ArrayLike | None = None,
    gallery_camera_G: ArrayLike | None = None,
) -> SingleShot:
    """Ranks over random single-image galleries.

    Args:
        query_QD, gallery_GD: unit rows.
        query_identity_Q, gallery_identity_G: persons, integers or strings.
        seed: seed of the draws, >= 0.
        draws: galleries drawn for each query.
        query_camera_Q, gallery_camera_G: cameras; both or neither.

    Raises:
        DataError: shapes don't fit, a value is not finite, no query has a mate left.

    >>> query, gallery = [[1.0, 0.0]], [[0.9, 0.0], [0.8, 0.0]]
    >>> single_shot(query, gallery, ["a"], ["b", "a"], seed=0).cmc([1, 2])
    (0.0, 1.0)
    """
    labels = make_labels(query_identity_Q, gallery_identity_G, query_camera_Q, gallery_camera_G)
    labels = labels.numbered()
    generator = np.random.default_rng(seed)
    names, person_G = np.unique(labels.gallery_G, return_inverse=True)
    sizes = np.bincount(person_G)
    people = _People(np.argsort(person_G, kind="stable"), np.cumsum(sizes) - sizes, sizes)
    ranks, query = [], 0
    for score_BG in score_blocks(query_QD, gallery_GD, labels):
        for score_G in score_BG:
            mates = np.flatnonzero(labels.of_query(query)[0])
            if mates.size:
                own = int(np.searchsorted(names, labels.query_Q[query]))
                uniform_RI = generator.random((draws, len(names)))
                ranks.append(_drawn_ranks(score_G, mates, own, people, uniform_RI))
            query += 1
    if not ranks:
        raise DataError(
            "at least one query must have a mate in the gallery, found none: "
            "give people images of two cameras"
        )
    return SingleShot(np.stack(ranks))


def _drawn_ranks(
    score_G: NDArray[np.floating],
    mates: Indices,
    own: int,
    people: _People,
    uniform_RI: NDArray[np.float64],
) -> Indices:
    """Rank of the drawn mate in each draw, (R,)."""
    drawn_RI = people.place_G[people.start_I + (uniform_RI * people.size_I).astype(np.int64)]
    mate_R = mates[(uniform_RI[:, own] * len(mates)).astype(np.int64)]
    drawn_RI[:, own] = mate_R
    score_RI, mate_score_R1 = score_G[drawn_RI], score_G[mate_R][:, None]
    equal_RI = (score_RI == mate_score_R1) & (drawn_RI < mate_R[:, None])
    return np.asarray(1 + np.count_nonzero((score_RI > mate_score_R1) | equal_RI, axis=1))
