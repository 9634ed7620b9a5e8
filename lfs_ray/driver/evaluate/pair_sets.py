"""Verification on a pair set: every figure people quote, each under its rule's name.

Pairs and raw embeddings -> here -> rows, curve, histogram, hardest errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lfs_ray.data.pairs import Pairs
from lfs_ray.data.store import ImageStore
from lfs_ray.driver.evaluate.embeddings import Embeddings
from lfs_ray.driver.evaluate.table import Appraisal, HardError, Histogram, Row, joined
from lfs_ray.errors import DataError
from lfs_ray.evaluation.bootstrap import identity_bootstrap_se
from lfs_ray.evaluation.embedding import unit_rows
from lfs_ray.evaluation.roc import (
    OperatingPoint,
    area_under_curve,
    equal_error_rate,
    roc_curve,
    tars_at_fars,
)
from lfs_ray.evaluation.scores import split_by_truth
from lfs_ray.evaluation.val_far import val_at_far
from lfs_ray.evaluation.verification import Verification, verify
from lfs_ray.training.embedder import Progress

STANDARD_ERROR, FOLD_DEVIATION = "standard error, identities", "deviation of folds"
_SHOWN_ERRORS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOptions:
    """What is measured on pair sets."""

    rules: Sequence[str] = ("insightface",)
    """Rules of the 10-fold accuracy; the first one decides what is an error."""
    fars: Sequence[float] = (1e-3, 1e-2, 1e-1)
    """False accept rates."""
    seed: int = 0
    """Seed of the bootstrap over identities."""


def appraise_pairs(
    name: str,
    pairs: Pairs,
    embeddings: Embeddings,
    store: ImageStore | None,
    options: PairOptions,
    progress: Progress | None = None,
) -> Appraisal:
    """Verification on one pair set.

    Raises:
        DataError: an embedding or a mate is missing, or folds can't be scored by a rule.
    """
    raw_KD = embeddings.raw(store, pairs.keys, progress)
    unit_KD = unit_rows(raw_KD)
    first_PD, second_PD = unit_KD[pairs.first], unit_KD[pairs.second]
    results = [
        verify(first_PD, second_PD, pairs.same, pairs.fold, rule=rule, flip=embeddings.flip)
        for rule in options.rules
    ]
    scores_P = results[0].scores_P
    genuine, impostor = split_by_truth(scores_P, pairs.same)
    rows = [
        *_accuracies(name, pairs, results, options.seed),
        *_val(name, pairs, scores_P),
        *tar_rows(name, genuine, impostor, options.fars),
        *curve_rows(name, genuine, impostor),
    ]
    curve = roc_curve(genuine, impostor)
    threshold = float(np.mean(results[0].thresholds))
    if results[0].rule == "insightface":
        threshold = 1 - threshold / 2
    return Appraisal(
        rows=rows,
        roc={name: (curve.far_T, curve.tar_T)},
        histograms={name: Histogram(genuine, impostor, threshold)},
        errors=_hardest(pairs, results[0]),
        store=store,
    )


def appraise_groups(
    name: str,
    groups: Mapping[str, Pairs],
    embeddings: Embeddings,
    store: ImageStore | None,
    options: PairOptions,
    progress: Progress | None = None,
) -> Appraisal:
    """Each group by itself, then mean and spread of their accuracies; never pooled (RFW)."""
    parts = [
        appraise_pairs(f"{name} {group}", pairs, embeddings, store, options, progress)
        for group, pairs in groups.items()
    ]
    whole = joined(parts)
    summary = [
        Row(
            set=name,
            metric=f"{what} accuracy of {len(groups)} groups",
            rule=rule,
            value=value,
            note="deviation is over the groups, population" if what == "deviation of" else "",
        )
        for rule in options.rules
        for what, value in _spread(whole.rows, rule)
    ]
    return joined([whole, Appraisal(rows=summary)])


def _spread(rows: Sequence[Row], rule: str) -> Iterator[tuple[str, float]]:
    values = [row.value for row in rows if row.metric == "accuracy" and row.rule == rule]
    yield "mean", float(np.mean(values))
    yield "deviation of", float(np.std(values))
    yield "largest less smallest", float(np.ptp(values))


def _accuracies(
    name: str, pairs: Pairs, results: Sequence[Verification], seed: int
) -> Iterator[Row]:
    for result in results:
        yield Row(
            set=name,
            metric="accuracy",
            rule=result.rule,
            value=result.accuracy,
            error=result.std,
            error_kind=FOLD_DEVIATION if result.rule == "insightface" else "standard error, folds",
            count=len(pairs),
            note="; ".join(result.notes),
        )
    if pairs.people():
        error = identity_bootstrap_se(
            results[0].correct_P,
            pairs.identity[pairs.first],
            pairs.identity[pairs.second],
            seed=seed,
        )
        yield Row(
            set=name,
            metric="standard error of the accuracy",
            rule=results[0].rule,
            value=error,
            count=len(np.unique(pairs.identity)),
            note="resampling identities, which pairs share",
        )


def _val(name: str, pairs: Pairs, scores_P: npt.NDArray[np.float64]) -> Iterator[Row]:
    try:
        result = val_at_far(scores_P, pairs.same, pairs.fold)
    except DataError:
        note = "not defined: a fold has pairs of one kind only"
        yield Row(set=name, metric="val@far", rule="adjacent", value=math.nan, note=note)
        return
    yield Row(
        set=name,
        metric=f"val@far={result.target:g}",
        rule=result.rule,
        value=result.val,
        error=result.std,
        error_kind=FOLD_DEVIATION,
        count=len(pairs),
        note=f"FAR reached {result.far:.5f}",
    )


def tar_rows(
    name: str,
    genuine: npt.NDArray[np.floating],
    impostor: npt.NDArray[np.floating],
    fars: Sequence[float],
    rules: Sequence[str] = ("at_most", "nearest"),
) -> Iterator[Row]:
    """TAR at each FAR by each rule."""
    for rule in rules:
        for point in tars_at_fars(genuine, impostor, fars, rule=rule):
            yield Row(
                set=name,
                metric=f"tar@far={point.far:g}",
                rule=rule,
                value=point.tar,
                count=len(genuine) + len(impostor),
                note=_note_of(point, len(impostor)),
            )


def _note_of(point: OperatingPoint, impostors: int) -> str:
    few = f", fewer than ten of {impostors} impostors decide" * point.few_impostors
    return f"FAR reached {point.far_reached:.2g}{few}"


def curve_rows(
    name: str, genuine: npt.NDArray[np.floating], impostor: npt.NDArray[np.floating]
) -> Iterator[Row]:
    """EER and AUC."""
    count = len(genuine) + len(impostor)
    error = equal_error_rate(genuine, impostor)
    area = area_under_curve(genuine, impostor)
    yield Row(set=name, metric="eer", rule="interpolated", value=error.rate, count=count)
    yield Row(set=name, metric="auc", rule="ties half", value=area, count=count)


def _hardest(pairs: Pairs, result: Verification) -> list[HardError]:
    """Wrong decisions, furthest from the middle of the other class first."""
    wrong = np.flatnonzero(~result.correct_P)
    scores, same = result.scores_P[wrong], pairs.same[wrong]
    # A false reject is the worse the lower its score, a false accept the higher.
    worst = wrong[np.argsort(np.where(same, scores, -scores), kind="stable")]
    half = _SHOWN_ERRORS // 2
    rejects = [place for place in worst if pairs.same[place]][:half]
    accepts = [place for place in worst if not pairs.same[place]][:half]
    return [
        HardError(
            pairs.keys[pairs.first[place]],
            pairs.keys[pairs.second[place]],
            float(result.scores_P[place]),
            bool(pairs.same[place]),
        )
        for place in [*accepts, *rejects]
    ]
