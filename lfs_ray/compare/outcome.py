"""A finished comparison's run -> the table: choice on the reward, scores, statistics, files.

Everything is computed again from committed rounds; report-set scores that are there are kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lfs_ray.compare.expand import Entry, is_baseline, replay_name, settled
from lfs_ray.config.sections import Config
from lfs_ray.driver.results import Winner, score_winner, scores_frame
from lfs_ray.seeds import derive_seed
from lfs_ray.storage import Storage
from lfs_ray.training.material import open_pairs
from lfs_ray.trials.comparison_html import html_page
from lfs_ray.trials.comparison_read import TABLE_NAME
from lfs_ray.trials.comparison_table import comparison_frame, frame_csv
from lfs_ray.trials.comparison_text import READING, markdown
from lfs_ray.trials.report_set import MethodScores, ReportSet

Choose = Callable[[str, int], Winner]
"""(method, seed) -> the winner that stands for it in a table."""

EQUAL_BUDGET = "Equal budget"
EQUAL_LINEAGE = "Equal lineage length"
NOTES = (
    "Equal budget: every method trained as many images for each seed, over all members and "
    "restarts; of its restarts the reward set chose one.",
    "Equal lineage length: the first restart of each, none chosen; what the others cost is in "
    "the column of trained epochs.",
    "The best baseline was chosen on the reward set. p is corrected by Holm's method over all "
    "other methods of a report set; McNemar's p takes pairs as independent and is too optimistic.",
)


@dataclass(frozen=True, slots=True)
class Finished:
    """A comparison's winners: what each population is and what came of it."""

    entries: Mapping[str, Entry]
    winners: Mapping[str, Winner]

    def of(self, method: str, seed: int) -> list[Winner]:
        """Winners of a method's restarts under a seed, in order."""
        entries = [e for e in self.entries.values() if (e.method, e.seed) == (method, seed)]
        ordered = sorted(entries, key=lambda entry: entry.restart)
        return [self.winners[entry.population] for entry in ordered]

    def first(self, method: str, seed: int) -> Winner:
        """The first restart, chosen by nothing."""
        return self.of(method, seed)[0]

    def chosen(self, method: str, seed: int) -> Winner:
        """The restart with the best reward, of equals the first."""
        return max(self.of(method, seed), key=lambda winner: number(winner, "reward"))

    def methods(self) -> list[str]:
        """Names of the methods, in order of first appearance."""
        return list(dict.fromkeys(entry.method for entry in self.entries.values()))


def number(winner: Winner, column: str) -> float:
    """A numeric column of the winner's row."""
    return float(str(winner.row[column]))


def write_comparison(storage: Storage, config: Config, finished: Finished) -> pd.DataFrame:
    """Score the chosen models, compare, and write comparison.csv, .md and .html; both tables.

    Returns:
        The columns of `comparison_table.COLUMNS` after a column `table`.
    """
    choices: dict[str, Choose] = {
        EQUAL_BUDGET: finished.chosen,
        EQUAL_LINEAGE: finished.first,
    }
    needed = {
        choose(method, seed).population
        for choose in choices.values()
        for method in finished.methods()
        for seed in config.compare.seeds
    }
    scores = {
        report: _scores(storage, config, report, [finished.winners[n] for n in sorted(needed)])
        for report in sorted(config.report)
    }
    frames = {}
    for title, choose in choices.items():
        sets = [
            _report_set(report, frame, config, finished, choose, whole=title == EQUAL_BUDGET)
            for report, frame in scores.items()
        ]
        seed = derive_seed(config.run.seed, "comparison")
        frames[title] = comparison_frame(sets, samples=config.compare.bootstrap_samples, seed=seed)
    _write(storage, config, frames)
    return joined(frames)


def joined(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables below each other, the first column saying which."""
    parts = []
    for title, frame in frames.items():
        part = frame.copy()
        part.insert(0, "table", title)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _write(storage: Storage, config: Config, frames: Mapping[str, pd.DataFrame]) -> None:
    name = config.run.name
    sections = [f"## {title}\n\n{markdown(frame)}" for title, frame in frames.items()]
    notes = "\n".join(f"* {note}" for note in (READING, *NOTES))
    text = "\n\n".join([f"# Comparison {name}", *sections, notes])
    storage.write("comparison.md", f"{text}\n".encode())
    page = html_page(f"Comparison {name}", list(frames.items()), NOTES)
    storage.write("comparison.html", page.encode())
    # Last: that it is there says that the comparison is finished.
    storage.write(TABLE_NAME, frame_csv(joined(frames)).encode())


def _scores(
    storage: Storage, config: Config, report: str, winners: Sequence[Winner]
) -> pd.DataFrame:
    """Decisions of the winners' models on a report set: those on file, and the others."""
    path = f"scores/{report}.parquet"
    there = pd.DataFrame({"population": []})
    if storage.exists(path):
        there = pd.read_parquet(io.BytesIO(storage.read(path)))
    known = set(there["population"])
    missing = [winner for winner in winners if winner.population not in known]
    if not missing:
        return there
    pair_set = open_pairs(config.report[report], config.model)
    scored = {
        one.population: score_winner(storage, config, one, report, pair_set).score
        for one in missing
    }
    fresh = scores_frame(scored, pair_set)
    frame = pd.concat([there, fresh], ignore_index=True) if len(there) else fresh
    sink = io.BytesIO()
    frame.to_parquet(sink, index=False)
    storage.write(path, sink.getvalue())
    return frame


def _report_set(
    report: str,
    frame: pd.DataFrame,
    config: Config,
    finished: Finished,
    choose: Choose,
    *,
    whole: bool,
) -> ReportSet:
    by_population = {str(name): part for name, part in frame.groupby("population", sort=False)}
    seeds = config.compare.seeds
    methods = tuple(
        _method_scores(
            method,
            [choose(method, seed) for seed in seeds],
            by_population,
            config,
            finished,
            whole=whole,
        )
        for method in finished.methods()
    )
    first = by_population[choose(finished.methods()[0], seeds[0]).population]
    return ReportSet(
        name=report,
        methods=methods,
        first_identity_P=first["first_identity"].to_numpy(),
        second_identity_P=first["second_identity"].to_numpy(),
    )


def _method_scores(
    method: str,
    winners: Sequence[Winner],
    by_population: Mapping[str, pd.DataFrame],
    config: Config,
    finished: Finished,
    *,
    whole: bool,
) -> MethodScores:
    """A method's row; `whole` counts the epochs of all its restarts."""
    seeds = config.compare.seeds
    trained = [
        sum(one.trained_epochs for one in (finished.of(method, seed) if whole else [winner]))
        for seed, winner in zip(seeds, winners, strict=True)
    ]
    trained = np.array(trained) + _search_epochs(method, config, finished)
    decisions = [by_population[one.population]["correct"].to_numpy(bool) for one in winners]
    return MethodScores(
        method=method,
        correct_SP=np.stack(decisions),
        reward_S=np.array([number(one, "reward") for one in winners]),
        is_baseline=method in config.methods and is_baseline(settled(config.methods[method])),
        restarts=len(finished.of(method, seeds[0])) if whole else 1,
        lineage_epochs=float(np.mean([number(one, "epochs") for one in winners])),
        trained_epochs=float(np.mean(trained)),
        margin=float(np.mean([number(one, "margin") for one in winners])),
    )


def _search_epochs(method: str, config: Config, finished: Finished) -> np.ndarray:
    """Epochs (S,) of the searches that a replayed method's schedules come from; 0 for others."""
    sources = [name for name in config.methods if replay_name(name) == method]
    return np.array(
        [
            sum(_all_epochs(finished.of(source, seed)) for source in sources)
            for seed in config.compare.seeds
        ]
    )


def _all_epochs(winners: Iterable[Winner]) -> float:
    return sum(winner.trained_epochs for winner in winners)
