"""1:N identification of probes in galleries: rules `ijb_1n`, `ijb_evals` and `tinyface`.

After `templates` or `embedding`. The rules are not comparable, so every result has its name:

    ijb_1n     (deepinsight/insightface, ijb_1n) the galleries are joined; rank-k over all probes,
               each of which has one mate. At FPIR f the threshold is the ceil(P f)-th largest of
               all P (G - 1) non-mate scores; TPIR is the share of probes whose mate scores above
               it, whatever its rank
    ijb_evals  (deepinsight/insightface, ijb_evals) rank-k: hits of both galleries over all
               probes. TPIR in each gallery, then averaged: the M probes without a mate in it give
               their largest score each, the threshold is entry max(int(M f) - 1, 0), from zero,
               of these in falling order; TPIR is the share of probes with a mate whose mate beats
               all other entries and the threshold
    tinyface   (mk-minchul/CVLface) the best mate counts. Rank-k over probes with a mate. At FAR f
               the largest scores of the probes without a mate give the threshold of rule
               `tinyface` (`roc`), and DIR is the share of probes with a mate within the first k
               that scores at least as high

Equal scores rank in the order of the gallery.

Shapes: P probes, G gallery entries, D dimensions, K ranks, F rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.best_mates import BestMates, find_best_mates
from lfs_ray.evaluation.roc import tars_at_fars

Floats = NDArray[np.floating]

RANKS = (1, 5, 10)
FPIRS = (0.01, 0.1)
TINYFACE_RANKS = (1, 5, 20)


@dataclass(frozen=True, slots=True)
class OneToMany:
    """Result of a rule on probes and galleries."""

    rule: str
    ranks: tuple[int, ...]
    rank_rates: tuple[float, ...]
    """Share of probes identified within each rank."""
    rates: tuple[float, ...]
    """FPIR (or FAR of `tinyface`) asked for."""
    found_rates: tuple[float, ...]
    """TPIR (DIR at the first rank of `ranks` for `tinyface`) at each rate."""
    thresholds: tuple[float, ...]
    """Threshold at each rate; of several galleries their mean."""
    num_probes: int
    """Probes that the rank rates are shares of."""
    found_PF: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    """Rule `ijb_1n`: whether each probe is found at each rate."""


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Unit rows (G, D) and person of each, (G,)."""

    rows_GD: Floats
    identity_G: NDArray[np.generic]


def ijb_1n(
    probes_PD: ArrayLike,
    identity_P: ArrayLike,
    galleries: Sequence[Gallery],
    *,
    ranks: Sequence[int] = RANKS,
    fpirs: Sequence[float] = FPIRS,
) -> OneToMany:
    """Rule `ijb_1n`: one joined gallery.

    Args:
        probes_PD: unit rows; each has exactly one mate.
        identity_P: person of each probe, integers or strings.
        galleries: S1 and S2, or G1 and G2; any number.
        ranks: whole numbers from 1.
        fpirs: false positive identification rates, in (0, 1].

    Raises:
        DataError: shapes don't fit, a value is not finite, a probe has no mate or several.
        ValueError: a rate is none.
    """
    _check_rates(fpirs)
    joined = Gallery(
        np.concatenate([gallery.rows_GD for gallery in galleries]),
        np.concatenate([gallery.identity_G for gallery in galleries]),
    )
    num_probes = len(np.asarray(identity_P))
    counts = [math.ceil(num_probes * fpir) for fpir in fpirs]
    found = _find(probes_PD, identity_P, joined, top_others=max(counts, default=1))
    if not (found.num_mates_P == 1).all():
        place = int(np.flatnonzero(found.num_mates_P != 1)[0])
        raise DataError(
            f"every probe of rule ijb_1n must have one mate in the joined gallery, found "
            f"{found.num_mates_P[place]} for probe {place}: one template a person"
        )
    if max(counts, default=1) > len(found.top_others):
        raise DataError(
            f"the gallery must hold non-mates, found {len(found.top_others)} non-mate scores"
        )
    thresholds = [float(found.top_others[count - 1]) for count in counts]
    found_PF = found.mate_P[:, None] > np.array(thresholds)
    return OneToMany(
        rule="ijb_1n",
        ranks=tuple(ranks),
        rank_rates=tuple(float(np.mean(found.rank_P <= rank)) for rank in ranks),
        rates=tuple(fpirs),
        found_rates=tuple(float(value) for value in found_PF.mean(axis=0)),
        thresholds=tuple(thresholds),
        num_probes=num_probes,
        found_PF=found_PF,
    )


def ijb_evals(
    probes_PD: ArrayLike,
    identity_P: ArrayLike,
    galleries: Sequence[Gallery],
    *,
    ranks: Sequence[int] = RANKS,
    fpirs: Sequence[float] = FPIRS,
) -> OneToMany:
    """Rule `ijb_evals`: each gallery by itself; arguments and errors as `ijb_1n`.

    A probe has at most one mate in a gallery; each gallery leaves some probes without.
    """
    _check_rates(fpirs)
    num_probes = len(np.asarray(identity_P))
    hits_K = np.zeros(len(ranks))
    found_SF, thresholds_SF = [], []
    for gallery in galleries:
        found = _find(probes_PD, identity_P, gallery)
        mated = found.num_mates_P == 1
        if (found.num_mates_P > 1).any() or mated.all() or not mated.any():
            raise DataError(
                f"every gallery of rule ijb_evals must hold one mate of some probes and none of "
                f"others, found {int(mated.sum())} of {num_probes} with one and "
                f"{int(np.sum(found.num_mates_P > 1))} with several"
            )
        hits_K += [np.sum(found.rank_P[mated] <= rank) for rank in ranks]
        falling = np.sort(found.other_P[~mated])[::-1]
        thresholds = [falling[max(int(len(falling) * fpir) - 1, 0)] for fpir in fpirs]
        first = found.mate_P[mated] > found.other_P[mated]
        found_SF.append([np.mean(first & (found.mate_P[mated] > value)) for value in thresholds])
        thresholds_SF.append(thresholds)
    return OneToMany(
        rule="ijb_evals",
        ranks=tuple(ranks),
        rank_rates=tuple(float(hits) / num_probes for hits in hits_K),
        rates=tuple(fpirs),
        found_rates=tuple(float(value) for value in np.mean(found_SF, axis=0)),
        thresholds=tuple(float(value) for value in np.mean(thresholds_SF, axis=0)),
        num_probes=num_probes,
    )


def tinyface(
    probes_PD: ArrayLike,
    identity_P: ArrayLike,
    gallery: Gallery,
    *,
    ranks: Sequence[int] = TINYFACE_RANKS,
    fars: Sequence[float] = (),
) -> OneToMany:
    """Rule `tinyface`: a gallery with distractors, where a person may have several entries.

    Args:
        probes_PD: unit rows.
        identity_P: person of each probe, integers or strings.
        gallery: entries and distractors; a distractor's person is no probe's.
        ranks: whole numbers from 1.
        fars: false accept rates in [0, 1]; with any, some probes must have no mate.

    Raises:
        DataError: shapes don't fit, a value is not finite, no probe has a mate, or all have one
            though rates were asked for.
        ValueError: a rate is none.
    """
    found = _find(probes_PD, identity_P, gallery)
    mated = found.num_mates_P > 0
    if not mated.any():
        raise DataError("some probes of rule tinyface must have a mate, found none")
    mate, rank = found.mate_P[mated], found.rank_P[mated]
    thresholds: list[float] = []
    if fars:
        points = tars_at_fars(mate, found.other_P[~mated], fars, rule="tinyface")
        thresholds = [point.threshold for point in points]
    near = rank <= (ranks[0] if ranks else 1)
    return OneToMany(
        rule="tinyface",
        ranks=tuple(ranks),
        rank_rates=tuple(float(np.mean(rank <= k)) for k in ranks),
        rates=tuple(fars),
        found_rates=tuple(float(np.mean(near & (mate >= value))) for value in thresholds),
        thresholds=tuple(thresholds),
        num_probes=int(mated.sum()),
    )


def _find(
    probes_PD: ArrayLike, identity_P: ArrayLike, gallery: Gallery, top_others: int = 0
) -> BestMates:
    return find_best_mates(
        probes_PD, identity_P, gallery.rows_GD, gallery.identity_G, top_others=top_others
    )


def _check_rates(fpirs: Sequence[float]) -> None:
    for fpir in fpirs:
        if not 0 < fpir <= 1:
            raise ValueError(f"an FPIR must be in (0, 1], found {fpir}")
