"""The end of a search: schedules, final models, report-set scores and the table of results.

Everything here is computed again from the committed rounds, so that a search interrupted at its
end is simply finished by a resume.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from lfs_ray.config.sections import Config
from lfs_ray.driver.schedule import schedule_text
from lfs_ray.evaluation.metrics import parse_metric
from lfs_ray.execution.blueprint import build_searcher
from lfs_ray.seeds import derive_seed
from lfs_ray.storage import Storage
from lfs_ray.training.device import prepare_process
from lfs_ray.training.material import PairSet, open_pairs
from lfs_ray.training.model_file import extract_backbone, load_backbone
from lfs_ray.training.scoring import Score, embed, evidence_of, metric_of, score
from lfs_ray.trials.committed import committed_rounds

RESULTS_NAME = "results.csv"


@dataclass(frozen=True, slots=True)
class Winner:
    """The last parent of a population."""

    population: str
    row: Mapping[str, object]
    """Its row of the trial table."""
    trained_epochs: float
    """Epochs trained over all members."""
    model_path: str
    """Its model file in the run."""


@dataclass(frozen=True, slots=True)
class ReportScore:
    """A final model on a report set."""

    score: Score
    """Its 10-fold accuracy, by the reward's rule."""
    figures: Mapping[str, float]
    """Further metrics, by name with their rules."""

    def columns(self, report: str) -> dict[str, object]:
        """Columns of the table of results."""
        own = {
            "accuracy": self.score.reward,
            "se": self.score.reward_se,
            "rule": self.score.verification.rule,
        }
        return {f"{report}_{name}": value for name, value in {**own, **self.figures}.items()}


def write_results(storage: Storage, config: Config) -> pd.DataFrame:
    """Write schedules, final models, scores and results.csv of a finished search; the table.

    One row a population: method, reward and its metric, each report set's accuracy with its
    standard error and rule, and its further metrics, epochs of the lineage and trained epochs
    over all members.
    """
    winners = [write_winner(storage, config, name) for name in config.populations]
    metric = metric_of(config.reward).name
    rows = [{**_row(winner), "reward_metric": metric} for winner in winners]
    for report, paths in sorted(config.report.items()):
        pair_set = open_pairs(paths, config.model)
        scores = {
            one.population: score_winner(storage, config, one, report, pair_set) for one in winners
        }
        blob = _scores_blob({name: one.score for name, one in scores.items()}, pair_set)
        storage.write(f"scores/{report}.parquet", blob)
        for row in rows:
            row |= scores[str(row["population"])].columns(report)
    table = pd.DataFrame(rows).set_index("population")
    storage.write(RESULTS_NAME, table.to_csv().encode())
    return table


def write_winner(storage: Storage, config: Config, name: str) -> Winner:
    """Write schedule and final model of a finished population."""
    population = config.populations[name]
    rounds = committed_rounds(storage, name)
    row = rounds[-1].selected
    folder = f"populations/{name}"
    names = build_searcher(population.search, population.loss).space.names
    text = schedule_text(name, population, rounds, names)
    storage.write(f"{folder}/schedule.toml", text.encode())
    checkpoint, path = str(row["checkpoint"]), f"{folder}/model.safetensors"
    facts = {"epochs": row["epochs"], "reward": row["reward"]}
    storage.write(path, extract_backbone(storage.read(checkpoint), facts, name=checkpoint))
    epochs = sum(float(str(r["epochs"])) / (one.number + 1) for one in rounds for r in one.rows)
    return Winner(name, row, epochs, path)


def _row(winner: Winner) -> dict[str, object]:
    row = winner.row
    return {
        "population": winner.population,
        "method": row["method"],
        "margin": row["margin"],
        "reward": row["reward"],
        "reward_se": row["reward_se"],
        "lineage_epochs": row["epochs"],
        "trained_epochs": round(winner.trained_epochs, 6),
    }


def score_winner(
    storage: Storage, config: Config, winner: Winner, report: str, pair_set: PairSet
) -> ReportScore:
    """Score a final model on a report set."""
    # The driver's own device: the head of a cluster of GPUs may have none.
    device = prepare_process(replace(config.worker, device="auto"))
    blob = storage.read(winner.model_path)
    backbone, model = load_backbone(blob, name=winner.model_path)
    embeddings_KD = embed(
        backbone.to(device),
        pair_set.images_KHWC,
        model,
        config.reward,
        device,
        colour=config.model.colour,
    )
    accuracy = replace(config.reward, metric="accuracy")
    result = score(
        embeddings_KD, pair_set.pairs, accuracy, seed=derive_seed(config.run.seed, "report")
    )
    evidence = evidence_of(embeddings_KD, pair_set.pairs, result.verification.flip)
    metrics = map(parse_metric, config.report[report].metrics)
    return ReportScore(result, {one.name: one.measure(evidence).value for one in metrics})


def _scores_blob(scores: Mapping[str, Score], pair_set: PairSet) -> bytes:
    """Parquet of every pair's score, for paired statistics."""
    sink = io.BytesIO()
    scores_frame(scores, pair_set).to_parquet(sink, index=False)
    return sink.getvalue()


def scores_frame(scores: Mapping[str, Score], pair_set: PairSet) -> pd.DataFrame:
    """Every pair's score under every population's model."""
    pairs = pair_set.pairs
    frames = [
        pd.DataFrame(
            {
                "population": name,
                "pair": range(len(pairs.same)),
                "fold": pairs.fold,
                "same": pairs.same,
                "first": [pairs.keys[i] for i in pairs.first],
                "second": [pairs.keys[i] for i in pairs.second],
                "first_identity": pairs.identity[pairs.first],
                "second_identity": pairs.identity[pairs.second],
                "score": result.verification.scores_P,
                "correct": result.verification.correct_P,
            }
        )
        for name, result in scores.items()
    ]
    return pd.concat(frames, ignore_index=True)
