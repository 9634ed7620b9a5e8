"""Best mate, its rank, and best other entry of each probe in a gallery.

Inside `identification`: products block by block, no score matrix is held.

Shapes: P probes, G gallery entries, D dimensions, B probes of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.identities import numbered
from lfs_ray.evaluation.matrix_blocks import iterate
from lfs_ray.evaluation.top_scores import TopScores

Floats = NDArray[np.floating]

_BLOCK_SCORES = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class BestMates:
    """What identification rules need of each probe."""

    num_mates_P: NDArray[np.int64]
    """Gallery entries of the probe's person."""
    mate_P: Floats
    """Score of the best mate; -inf without one."""
    rank_P: NDArray[np.int64]
    """Rank of the best mate in the gallery, 1 for the first; G + 1 without one."""
    other_P: Floats
    """Largest score of an entry of another person; -inf without one."""
    top_others: Floats
    """As many of the largest scores of other people over all probes as were asked for, falling."""


def find_best_mates(
    probes_PD: ArrayLike,
    identity_P: ArrayLike,
    gallery_GD: ArrayLike,
    identity_G: ArrayLike,
    *,
    top_others: int = 0,
) -> BestMates:
    """Search the gallery for every probe; equal scores rank in the order of the gallery.

    Args:
        probes_PD, gallery_GD: unit rows.
        identity_P, identity_G: people, integers or strings.
        top_others: how many of the largest non-mate scores of all probes to keep.

    Raises:
        DataError: shapes don't fit, or a value is not finite.

    >>> found = find_best_mates([[1.0, 0.0]], ["a"], [[0.6, 0.8], [0.8, 0.6]], ["a", "b"])
    >>> found.mate_P.tolist(), found.rank_P.tolist(), found.other_P.tolist()
    ([0.6], [2], [0.8])
    """
    probes, gallery = np.asarray(probes_PD), np.asarray(gallery_GD)
    people, entries = np.asarray(identity_P), np.asarray(identity_G)
    _check(probes, people, gallery, entries)
    people, entries = numbered(people, entries)
    top = TopScores(top_others) if top_others else None
    step = max(_BLOCK_SCORES // max(len(gallery), 1), 1)
    parts = [
        _searched(
            probes[start : start + step] @ gallery.T, people[start : start + step], entries, top
        )
        for start in range(0, len(probes), step)
    ]
    num, mate, rank, other = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = np.empty(0) if top is None else top.values()
    return BestMates(num, mate, rank, other, kept)


def _searched(
    score_BG: Floats,
    people_B: NDArray[np.generic],
    entries_G: NDArray[np.generic],
    top: TopScores | None,
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64], Floats]:
    mate_BG = people_B[:, None] == entries_G
    num_B = np.count_nonzero(mate_BG, axis=1).astype(np.int64)
    mate_scores_BG = np.where(mate_BG, score_BG, -np.inf)
    place_B1 = mate_scores_BG.argmax(axis=1)[:, None]
    best_B1 = np.take_along_axis(mate_scores_BG, place_B1, axis=1)
    before_BG = np.arange(score_BG.shape[1]) < place_B1
    higher_BG = (score_BG > best_B1) | (before_BG & (score_BG == best_B1))
    rank_B = np.where(num_B > 0, 1 + np.count_nonzero(higher_BG, axis=1), score_BG.shape[1] + 1)
    others_BG = np.where(mate_BG, -np.inf, score_BG)
    if top is not None:
        top.offer(others_BG)
    return num_B, best_B1[:, 0], rank_B.astype(np.int64), others_BG.max(axis=1)


def _check(
    probes: Floats,
    people: NDArray[np.generic],
    gallery: Floats,
    entries: NDArray[np.generic],
) -> None:
    for rows, names, what in ((probes, people, "probe"), (gallery, entries, "gallery")):
        if rows.ndim != 2 or len(rows) == 0 or names.shape != rows.shape[:1]:
            raise DataError(
                f"there must be {what} embeddings (rows, dimensions) with an identity each, "
                f"found shapes {rows.shape} and {names.shape}"
            )
        list(iterate(rows, len(rows)))
    if probes.shape[1] != gallery.shape[1]:
        raise DataError(
            f"probes and gallery must have rows of one length, found {probes.shape[1]} and "
            f"{gallery.shape[1]}: embed both with one model"
        )
