"""TPR@FPR over all pairs of labelled images, and of them with distractors (Trillion-Pairs).

After `embedding`. Every unordered pair of probes counts once: same person, genuine; two people,
impostor. With distractors every probe x distractor is an impostor too. Scores come block by block
out of matrix products; of the impostors only the largest k = floor(N f) + 1 are kept, which give
the exact threshold of rule `at_most`. No score matrix is ever held.

Shapes: N probes, D dimensions, G genuine pairs, B and C rows of two blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.matrix_blocks import Rows, iterate, num_rows
from lfs_ray.evaluation.roc import OperatingPoint, num_allowed, point_of_largest
from lfs_ray.evaluation.top_scores import TopScores

Floats = NDArray[np.floating]
_BLOCK = 2048


@dataclass(frozen=True, slots=True, eq=False)
class AllPairs:
    """Scores of all genuine pairs, and of the impostor pairs those that decide."""

    genuine_G: Floats
    """Scores of the genuine pairs."""
    identity_G: NDArray[np.generic]
    """The person of each genuine pair."""
    num_impostors: int
    top_impostors: Floats
    """The largest impostor scores, falling."""

    def tpr_at_fpr(self, fpr: float) -> OperatingPoint:
        """Rule `at_most`: the (k+1)-th largest impostor is the threshold, accept above it.

        Raises:
            ValueError: more impostors would decide than were kept.
        """
        if not 0 <= num_allowed(self.num_impostors, fpr) < max(len(self.top_impostors), 1):
            raise ValueError(f"the false positive rate must be one that was asked for, not {fpr}")
        return point_of_largest(self.genuine_G, self.top_impostors, self.num_impostors, fpr)


def score_all_pairs(
    embeddings_ND: ArrayLike,
    identity_N: ArrayLike,
    fprs: Sequence[float],
    *,
    distractors: Rows | None = None,
) -> AllPairs:
    """Scores of all pairs, ready for the given false positive rates.

    Args:
        embeddings_ND: probes, unit rows; float32 products for float32 rows, else float64.
        identity_N: person of each probe, integers or strings.
        fprs: rates that will be asked for, in [0, 1); the largest decides the memory.
        distractors: rows of people that are no probe's.

    Raises:
        DataError: shapes don't fit, a value is not finite, no genuine or no impostor pair.
        ValueError: a rate is none.

    >>> rows = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]])
    >>> pairs = score_all_pairs(rows, [0, 0, 1, 1], [0.3])
    >>> pairs.num_impostors, pairs.tpr_at_fpr(0.3).tar
    (4, 1.0)
    """
    for fpr in fprs:
        if not 0 <= fpr < 1:
            raise ValueError(f"a false positive rate must be in [0, 1), found {fpr}")
    rows, identity, person = _by_person(embeddings_ND, identity_N)
    sizes = np.bincount(person)
    genuine = int(np.sum(sizes * (sizes - 1) // 2))
    extra = 0 if distractors is None else len(rows) * num_rows(distractors)
    impostors = len(rows) * (len(rows) - 1) // 2 - genuine + extra
    if genuine == 0 or impostors == 0:
        raise DataError(
            f"all pairs must hold genuine and impostor pairs, found {genuine} and {impostors}: "
            "give several people two images or more"
        )
    top = TopScores(num_allowed(impostors, max(fprs)) + 1)
    found = list(_genuine_scores(rows, person, top))
    if distractors is not None:
        for _, block in iterate(distractors, _BLOCK):
            for start in range(0, len(rows), _BLOCK):
                top.offer(rows[start : start + _BLOCK] @ block.astype(rows.dtype, copy=False).T)
    return AllPairs(
        genuine_G=np.concatenate([scores for scores, _ in found]),
        identity_G=identity[np.concatenate([places for _, places in found])],
        num_impostors=impostors,
        top_impostors=top.values(),
    )


def _by_person(
    embeddings_ND: ArrayLike, identity_N: ArrayLike
) -> tuple[Floats, NDArray[np.generic], NDArray[np.intp]]:
    """Rows, names and numbers of the people, sorted by person: genuine pairs lie close."""
    given = np.asarray(embeddings_ND)
    names, person = np.unique(np.asarray(identity_N), return_inverse=True)
    if given.ndim != 2 or person.shape != given.shape[:1]:
        raise DataError(
            f"every embedding must have an identity, found shapes {given.shape} and {person.shape}"
        )
    order = np.argsort(person, kind="stable")
    rows = given[order].astype(np.result_type(given.dtype, np.float32), copy=False)
    list(iterate(rows, _BLOCK))
    return rows, names[person[order]], person[order]


def _genuine_scores(
    rows: Floats, person: NDArray[np.intp], top: TopScores
) -> Iterator[tuple[Floats, NDArray[np.intp]]]:
    """Scores and first rows of genuine pairs, tile by tile; impostors go to the top list."""
    for start in range(0, len(rows), _BLOCK):
        first = slice(start, start + _BLOCK)
        for other in range(start, len(rows), _BLOCK):
            second = slice(other, other + _BLOCK)
            score_BC = rows[first] @ rows[second].T
            if person[first][-1] >= person[other] or start == other:
                same_BC = person[first][:, None] == person[second]
                pair_BC = np.ones_like(same_BC)
                if start == other:
                    pair_BC = np.triu(pair_BC, 1)
                genuine_BC = same_BC & pair_BC
                yield score_BC[genuine_BC], start + np.nonzero(genuine_BC)[0]
                score_BC[same_BC | ~pair_BC] = -np.inf
            top.offer(score_BC)
