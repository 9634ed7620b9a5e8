"""The table of a comparison: one row a method and report set, as a DataFrame and as CSV.

Between `comparison`/`corrections` and the readers: pandas, `comparison_text`, `comparison_html`.
Names and order of the columns are API. Accuracies and their differences are from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from lfs_ray.seeds import derive_seed
from lfs_ray.trials.comparison import Estimate, MethodEstimate, two_level_bootstrap
from lfs_ray.trials.corrections import BEST_BASELINE, holm, mcnemar_over_seeds, verdict
from lfs_ray.trials.report_set import MethodScores, ReportSet, best_baseline

COLUMNS = {
    "method": "name of the method",
    "report_set": "name of the report set",
    "mean": "accuracy, mean over seeds",
    "sd": "standard deviation of the accuracy over seeds",
    "ci_low": "lower end of the mean's 95 % interval, over seeds and people",
    "ci_high": "upper end",
    "difference": "mean less that of the best baseline",
    "diff_low": "lower end of the difference's 95 % interval, not corrected for several methods",
    "diff_high": "upper end",
    "p_holm": "p-value of no difference, corrected by Holm over the methods of the report set",
    "mcnemar_p": "McNemar's p-value over pairs taken as independent: too optimistic",
    "verdict": "best baseline, better, worse, or not distinguishable",
    "reward_mean": "reward on the reward set, mean over seeds",
    "reward_sd": "standard deviation of the reward over seeds",
    "seeds": "number of seeds",
    "restarts": "lineages trained a seed, of which the reward set chose one",
    "lineage_epochs": "epochs that a chosen model was trained for",
    "trained_epochs": "epochs trained a seed, over all members and restarts: the budget",
    "margin": "equivalent margin of the loss at the end, NaN where it has none",
}


def comparison_frame(
    report_sets: Iterable[ReportSet], *, samples: int = 2000, seed: int
) -> pd.DataFrame:
    """Compare all methods with the best baseline on each report set.

    Every method but the best baseline is compared, the other baselines too, and Holm's correction
    is over them all; each report set is a family of its own. A report set gives the same rows
    alone as beside others.

    Args:
        report_sets: decisions of the methods; rows keep their order.
        samples: resamplings of the people.
        seed: seed of the resampling, >= 0.

    Returns:
        Table with the columns of `COLUMNS`; NaN where a value does not exist: differences of the
        best baseline itself, intervals and deviations of a single seed.

    Raises:
        DataError: no baseline among the methods, or fewer than two identities in a set.
    """
    rows = [row for one in report_sets for row in _rows(one, samples, seed)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def frame_csv(frame: pd.DataFrame) -> str:
    """The table as CSV: every number with all its digits, missing ones empty."""
    return frame.to_csv(index=False, lineterminator="\n")


def _rows(report_set: ReportSet, samples: int, seed: int) -> list[dict[str, object]]:
    reference = best_baseline(report_set.methods)
    drawn = derive_seed(seed, "report set", report_set.name)
    estimates = two_level_bootstrap(report_set, reference, samples=samples, seed=drawn)
    adjusted = holm([one.difference.p_zero if one.difference else math.nan for one in estimates])
    baseline = report_set.methods[reference]
    return [
        {
            "method": scores.method,
            "report_set": report_set.name,
            **_accuracy_cells(estimate),
            **_difference_cells(estimate.difference, p_holm, scores, baseline),
            **_training_cells(scores),
        }
        for scores, estimate, p_holm in zip(report_set.methods, estimates, adjusted, strict=True)
    ]


def _accuracy_cells(estimate: MethodEstimate) -> dict[str, object]:
    accuracy = estimate.accuracy
    return {
        "mean": accuracy.mean,
        "sd": estimate.sd,
        "ci_low": accuracy.low,
        "ci_high": accuracy.high,
    }


def _difference_cells(
    difference: Estimate | None, p_holm: float, scores: MethodScores, baseline: MethodScores
) -> dict[str, object]:
    if difference is None:
        empty = ("difference", "diff_low", "diff_high", "p_holm", "mcnemar_p")
        return {**dict.fromkeys(empty, math.nan), "verdict": BEST_BASELINE}
    return {
        "difference": difference.mean,
        "diff_low": difference.low,
        "diff_high": difference.high,
        "p_holm": p_holm,
        "mcnemar_p": mcnemar_over_seeds(scores.correct_SP, baseline.correct_SP),
        "verdict": verdict(difference.mean, p_holm),
    }


def _training_cells(scores: MethodScores) -> dict[str, object]:
    several = len(scores.reward_S) > 1
    return {
        "reward_mean": float(np.mean(scores.reward_S)),
        "reward_sd": float(np.std(scores.reward_S, ddof=1)) if several else math.nan,
        "seeds": len(scores.reward_S),
        "restarts": scores.restarts,
        "lineage_epochs": scores.lineage_epochs,
        "trained_epochs": scores.trained_epochs,
        "margin": scores.margin,
    }
